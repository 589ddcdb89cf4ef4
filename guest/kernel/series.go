package kernel

import (
	"embed"
	"io/fs"
)

// ownPatches are the project's own patches. They are embedded by the package
// that holds them, once it has any.
var ownPatches embed.FS

// ownSeries reads the project's patches for a version.
func ownSeries(version string) (Patches, error) { return seriesFor(ownPatches, version) }

// seriesFor reads the patches in the folder of the version, else the ones for
// all versions.
func seriesFor(fsys fs.FS, version string) (Patches, error) {
	list, err := readPatchFS(fsys, version)
	if err != nil || len(list) > 0 {
		return list, err
	}
	return readPatchFS(fsys, ".")
}
