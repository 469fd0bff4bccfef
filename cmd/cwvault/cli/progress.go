package cli

import (
	gosync "sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"cwvault/sync/run"
)

// progress shows the progress of a run on a terminal. Elsewhere it does nothing. Its
// methods may be called from several goroutines, also on nil. It implements
// [run.Events].
type progress struct {
	mu   gosync.Mutex
	out  *mpb.Progress
	bars map[string]*mpb.Bar
}

func (a *app) newProgress() *progress {
	if !a.colours(a.Stderr) {
		return nil
	}
	return &progress{out: mpb.NewWithContext(a.ctx, mpb.WithOutput(a.Stderr), mpb.WithWidth(40)), bars: map[string]*mpb.Bar{}}
}

// read shows how many companies have been read.
func (p *progress) read(done, total int) { p.show("companies", done, total) }

// Applied implements [run.Events]: it shows how many steps are done.
func (p *progress) Applied(_ int64, done, total int) {
	if done > 0 {
		p.show("steps", done, total)
	}
}

// Read implements [run.Events].
func (p *progress) Read(run.Server, error) {}

// ReadAll implements [run.Events].
func (p *progress) ReadAll() { p.stop() }

// ApplyEnded implements [run.Events].
func (p *progress) ApplyEnded() { p.stop() }

func (p *progress) show(what string, done, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	bar := p.bars[what]
	if bar == nil {
		bar = p.out.AddBar(int64(total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(what+" "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(decor.Percentage()))
		p.bars[what] = bar
	}
	bar.SetTotal(int64(total), false)
	bar.SetCurrent(int64(done))
}

// stop removes the bars from the screen. Later calls show new ones.
func (p *progress) stop() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for what, bar := range p.bars {
		bar.Abort(true)
		bar.Wait()
		delete(p.bars, what)
	}
}
