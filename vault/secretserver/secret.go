package secretserver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// ReadSecret returns the fields of one secret by slug, such as "username" and "password". It
// is only for the secret that holds the ConnectWise keys (CWVAULT_CONNECTWISE_SECRET_ID,
// "Integrator Credentials"). It does not check the secret out, so it cannot read one that
// demands a checkout, an approval or a comment. It omits files.
func (v *Vault) ReadSecret(ctx context.Context, id int) (map[string]string, error) {
	var secret struct {
		ID    int `json:"id"`
		Items []struct {
			Slug     string `json:"slug"`
			Value    string `json:"itemValue"`
			File     bool   `json:"isFile"`
			Password bool   `json:"isPassword"`
		} `json:"items"`
	}
	query := url.Values{"noAutoCheckout": {"true"}}
	if err := v.client.do(ctx, read("/v2/secrets/"+strconv.Itoa(id), query), &secret); err != nil {
		if status := statusOf(err); status == http.StatusBadRequest || status == http.StatusForbidden {
			return nil, fmt.Errorf("read secret %d (the account needs View on it, and it must not demand checkout, approval or a comment): %w", id, err)
		}
		return nil, fmt.Errorf("read secret %d: %w", id, err)
	}
	if secret.ID != id {
		return nil, fmt.Errorf("read secret %d: the answer is about secret %d", id, secret.ID)
	}
	fields := make(map[string]string, len(secret.Items))
	for _, item := range secret.Items {
		if item.Slug == "" || item.File {
			continue
		}
		value := item.Value
		if item.Password {
			// The secret omits passwords or has placeholders for them.
			path := "/v1/secrets/" + strconv.Itoa(id) + "/fields/" + url.PathEscape(item.Slug)
			if err := v.client.do(ctx, read(path, query), &value); err != nil {
				return nil, fmt.Errorf("read field %s of secret %d: %w", item.Slug, id, err)
			}
		}
		fields[item.Slug] = value
	}
	return fields, nil
}
