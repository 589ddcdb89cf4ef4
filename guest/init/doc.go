// Init is the first and only resident process of the guest: it mounts the file
// systems and the host's folder, loads the drivers under test, runs the suites
// of the job (or a shell), reports each step to the host, and powers off.
//
// Whatever goes wrong is one line on the console that begins with "qcemu: ",
// and an event of type failed if the host can still be reached.
package main
