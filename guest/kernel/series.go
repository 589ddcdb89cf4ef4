package kernel

import "embed"

// ownPatches are the project's own patches. They are embedded by the package
// that holds them, once it has any.
var ownPatches embed.FS

// ownSeries reads the project's patches for a version: those in the folder of
// that name, else the ones for all versions.
func ownSeries(version string) (Patches, error) {
	list, err := readPatchFS(ownPatches, version)
	if err != nil || len(list) > 0 {
		return list, err
	}
	return readPatchFS(ownPatches, ".")
}
