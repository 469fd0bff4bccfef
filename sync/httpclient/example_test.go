package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cwvault/sync/httpclient"
)

// A try that may succeed later marks its error; any other error is final.
func ExampleRetry() {
	retry := httpclient.Retry{First: time.Millisecond, Longest: time.Second, Tries: 5}
	err := retry.Do(context.Background(), func(n int) error {
		if n < 3 {
			return httpclient.Again(errors.New("503 Service Unavailable"), 0)
		}
		fmt.Println("try", n, "succeeds")
		return nil
	}, func(n int, _ time.Duration, err error) {
		fmt.Printf("try %d: %v\n", n, err)
	})
	fmt.Println(err)
	// Output:
	// try 1: 503 Service Unavailable
	// try 2: 503 Service Unavailable
	// try 3 succeeds
	// <nil>
}
