// Package recordings has recorded sessions of real guests. Its test replays each
// of them and compares what it shows with the findings that are kept beside it:
// a recording of a bug becomes a test by copying the file here.
//
//	race.qrec          the stock driver of Linux 6.12 beside a second user of the
//	                   engine: wrong results in every algorithm
//	race-shrunk.qrec   the least that it takes: the same, shrunk to one finding
//	locked.qrec        the driver with the series in the same place: nothing wrong
//	probe-stock.qrec   both drivers' first requests, from power-on to power-off
//	probe-series.qrec
//
// After a change of the model that is meant to show in them,
//
//	go test ./tests/recordings -update
//
// writes the findings anew, and makes those recordings again that do not replay
// any more (record.Copy). docs/replay.md says how recordings are made.
package recordings
