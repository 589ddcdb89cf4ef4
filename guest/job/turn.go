package job

// Turn says that from here on what is done belongs to the case whose name is the
// event's Text, until the next such event; with no name, to none. The host may
// take the time and count meanwhile.
const Turn = "turn"
