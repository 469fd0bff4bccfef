// Package scheduler decides when a job runs, and sees to it that it runs once.
// It knows a clock and a func(context.Context) error, and nothing of what the
// job does.
//
// # Schedules
//
//	*/15 * * * *      minute, hour, day of month, month, day of week (0 is Sunday)
//	30 6 * * mon-fri  06:30 on weekdays, in the zone given to [Parse]
//	@hourly           also @daily, @weekly, @monthly, @yearly
//	@every 30m        an interval, counted from the start of the service or the last run before
//
// When both days are restricted, either is enough, as in cron. What could never
// run is refused, and so are zones inside the expression (TZ=, CRON_TZ=) and
// intervals below a second or not of whole seconds.
//
// # Summer time
//
// A time that the clock skips in spring is made up for at the first moment
// after the gap; several of them are one run. A time that the clock shows twice
// in autumn counts the first time only, unless the schedule runs in every hour
// of the day ("*" in the hour field, @hourly): such a schedule goes on through
// both passes. So a daily job runs once every day, in every zone. A day that a
// country leaves out of its calendar has no run.
//
// # Missed runs
//
// However many times passed while the service was down or the machine slept,
// there is one run to catch up, within a minute of waking. With a run on start
// that run is the one. When the clock is set back, at most one scheduled time,
// within the hour, is taken as done already; then the schedule goes on by the
// clock as it is now.
//
// # One at a time
//
// Runs never overlap. A scheduled time that comes while an earlier scheduled run
// is still going is skipped; the log says so once in that run. A run that was
// asked for, see [Scheduler.Trigger], is not skipped but waits, and so does a
// scheduled time that comes while such a run is going. One run waits at most:
// whoever asks meanwhile is answered by it. A run that fails or panics is
// recorded, and the next one comes when it is due.
//
// # Stopping
//
// When the context of [Scheduler.Run] is cancelled, so is that of the run under
// way, which finishes the step it is at. Nothing else is started, and those who
// wait get [ErrStopped].
package scheduler
