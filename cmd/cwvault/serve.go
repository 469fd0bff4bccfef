package main

type serveCmd struct{}

// Run resyncs on the schedule, and shows how that goes, until a signal comes.
func (serveCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	v, err := newService(a, c)
	if err != nil {
		return err
	}
	return v.serve()
}
