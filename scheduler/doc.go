// Package scheduler decides when a job runs and makes sure that it runs once. It knows
// a clock and a func(context.Context) error, but not what the job does.
//
// # Schedules
//
//	*/15 * * * *      minute, hour, day of month, month, day of week (0 is Sunday)
//	30 6 * * mon-fri  06:30 on weekdays, in the zone given to [Parse]
//	@hourly           also @daily, @weekly, @monthly, @yearly
//	@every 30m        an interval, counted from the start of the service or the last run before
//
// If both days are restricted, a time that matches either is due, as in cron. [Parse]
// refuses schedules that can never run, zones inside the expression (TZ=, CRON_TZ=),
// and intervals below a second or not of whole seconds.
//
// # Summer time
//
// If the clock skips a scheduled time in spring, the run starts right after the gap;
// several skipped times make one run. If the clock shows a scheduled time twice in
// autumn, only the first counts, unless the schedule runs in every hour of the day
// ("*" in the hour field, @hourly): such a schedule also runs in the repeated hour. So
// a daily job runs once every day, in every zone. A day that a country skips in its
// calendar has no run.
//
// # Missed runs
//
// However many times passed while the service was down or the machine slept, one run
// catches up, within a minute of waking. If there is a run on start, it is that run.
// If the clock is set back, at most one scheduled time, within the hour, counts as
// done; then the schedule follows the new clock.
//
// # One at a time
//
// Runs never overlap. A scheduled time during an earlier scheduled run is skipped; the
// log says so once per run. A requested run (see [Scheduler.Trigger]) waits instead,
// and so does a scheduled time during a requested run. At most one run waits; it
// answers all requests that arrive meanwhile. A run that fails or panics is recorded,
// and the next run starts when it is due.
//
// # Stopping
//
// If the context of [Scheduler.Run] is cancelled, the context of the current run is
// cancelled too, and the run finishes its current step. No other run starts, and
// waiting requests get [ErrStopped].
package scheduler
