// Command tsssdk reads a secret with Delinea's own Go SDK: by id, by path and
// by search. TestVendorSDK runs it against the simulator. It is a module of its
// own, so that the product does not depend on the SDK.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/DelineaXPM/tss-sdk-go/v3/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tsssdk:", err)
		os.Exit(1)
	}
}

type result struct {
	Name, Username, Password string
	FolderID                 int
}

func run() error {
	id, err := strconv.Atoi(os.Getenv("TSS_SECRET_ID"))
	if err != nil {
		return fmt.Errorf("TSS_SECRET_ID: %w", err)
	}
	tss, err := server.New(server.Configuration{
		ServerURL: os.Getenv("TSS_URL"),
		Credentials: server.UserCredential{
			Username: os.Getenv("TSS_USERNAME"), Password: os.Getenv("TSS_PASSWORD"), Domain: os.Getenv("TSS_DOMAIN"),
		},
		CACertPEM:         os.Getenv("TSS_CA"),
		AllowedVaultHosts: os.Getenv("TSS_VAULT_HOST"),
		DisableRetries:    true,
	})
	if err != nil {
		return err
	}
	byID, err := tss.Secret(id)
	if err != nil {
		return fmt.Errorf("secret by id: %w", err)
	}
	byPath, err := tss.SecretByPath(os.Getenv("TSS_SECRET_PATH"))
	if err != nil {
		return fmt.Errorf("secret by path: %w", err)
	}
	found, err := tss.Secrets(byID.Name, "")
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	all := []result{show(byID), show(byPath)}
	for i := range found {
		all = append(all, show(&found[i]))
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func show(s *server.Secret) result {
	r := result{Name: s.Name, FolderID: s.FolderID}
	r.Username, _ = s.Field("username")
	r.Password, _ = s.Field("password")
	return r
}
