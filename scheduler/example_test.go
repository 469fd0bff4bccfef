package scheduler_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"cwvault/scheduler"
)

// A job at half past two, in a zone where that time is skipped in spring and
// comes twice in autumn.
func ExampleParse() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		log.Fatal(err)
	}
	schedule, err := scheduler.Parse("30 2 * * *", berlin)
	if err != nil {
		log.Fatal(err)
	}
	for _, day := range []string{"2026-03-28", "2026-10-25"} {
		at, err := time.ParseInLocation(time.DateOnly, day, berlin)
		if err != nil {
			log.Fatal(err)
		}
		for range 3 {
			at = schedule.Next(at)
			fmt.Println(at.In(berlin).Format("Mon 2 Jan 15:04 MST"))
		}
	}
	// Output:
	// Sat 28 Mar 02:30 CET
	// Sun 29 Mar 03:00 CEST
	// Mon 30 Mar 02:30 CEST
	// Sun 25 Oct 02:30 CEST
	// Mon 26 Oct 02:30 CET
	// Tue 27 Oct 02:30 CET
}

// stopped is a clock that stands still, so that the example is the same at any
// time. Without one a scheduler goes by the system's clock.
type stopped time.Time

func (c stopped) Now() time.Time                     { return time.Time(c) }
func (stopped) After(time.Duration) <-chan time.Time { return nil }

// A job that is due every hour is asked for at twenty past eight.
func ExampleNew() {
	hourly, err := scheduler.Parse("@hourly", time.UTC)
	if err != nil {
		log.Fatal(err)
	}
	job := func(ctx context.Context) error {
		fmt.Println("a run, because of:", scheduler.TriggerFrom(ctx))
		return nil
	}
	s := scheduler.New(job, scheduler.Options{
		Schedule: hourly, Clock: stopped(time.Date(2026, 11, 2, 8, 20, 0, 0, time.UTC)),
	})

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	if err := <-s.Trigger("a request"); err != nil { // what the run returned
		log.Fatal(err)
	}
	fmt.Println("the next one on schedule:", s.Status().Next.Format("15:04"))
	cancel()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	// Output:
	// a run, because of: a request
	// the next one on schedule: 09:00
}
