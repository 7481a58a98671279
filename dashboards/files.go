package dashboards

import (
	"fmt"
	"os"
	"path/filepath"
)

// Write writes the JSON of all dashboards below a folder, in leader/ and follower/, and
// returns the files it wrote. Files of other programs there are left alone.
func Write(dir string, s Settings) (files []string, err error) {
	for _, d := range All() {
		text, err := d.JSON(s)
		if err != nil {
			return files, err
		}
		file := filepath.Join(dir, filepath.FromSlash(d.File()))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return files, fmt.Errorf("writing dashboards: %w", err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return files, fmt.Errorf("writing dashboards: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}
