package dashboard

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
)

var (
	_ = chromedp.Flag
	_ = emulation.SetEmulatedMedia
	_ = testutil.ToFloat64
	_ = promhttp.HandlerFor
	_ = expfmt.FmtText
)

func TestNothingYet(t *testing.T) {}
