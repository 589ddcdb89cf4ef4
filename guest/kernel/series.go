package kernel

import (
	"io/fs"

	"github.com/qcemu/qcemu/guest/kernel/series"
)

// ownSeries reads the project's patches for a version.
func ownSeries(version string) (patchList, error) { return seriesFor(series.Patches, version) }

// seriesFor reads the patches in the folder of the version, else the ones for
// all versions.
func seriesFor(fsys fs.FS, version string) (patchList, error) {
	list, err := readPatchFS(fsys, version)
	if err != nil || len(list) > 0 {
		return list, err
	}
	return readPatchFS(fsys, ".")
}
