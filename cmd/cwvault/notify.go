package main

import "github.com/coreos/go-systemd/v22/daemon"

var _ = daemon.SdNotify
