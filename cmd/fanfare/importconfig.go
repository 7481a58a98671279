package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fanfare-push/fanfare/cmd/fanfare/hocon"
)

// importConfigCmd turns an mpush.conf into a configuration of ours.
type importConfigCmd struct {
	File   string `arg:"" help:"The mpush.conf."`
	Output string `help:"File to write; standard output if left out. Only its owner may read it: it can hold keys and passwords." short:"o" placeholder:"FILE"`
	Force  bool   `help:"Overwrite the output file if there is one."`
}

// Help is shown by --help.
func (importConfigCmd) Help() string {
	return `Reads the configuration file of an MPush server and writes one for "fanfare node" that does the same: it joins the
same ZooKeeper and Redis, has the same key, ports and limits. Each line names the key of MPush that it comes from. What has
no place here is listed on standard error with the reason, a line each; so is every key that is not known.

Files that are included are read from beside the file. Only the file itself counts: what MPush gets from system properties
(-Dmp.…) has to be added by hand. Secrets end up in the output and nowhere else; better move them to files of their own,
as comments there say.

Exits 0 if a configuration was written that "fanfare check-config" takes, 1 if it could not be written, 2 if the file cannot
be read or understood.

Examples:

  fanfare import-config /opt/mpush/conf/mpush.conf
  fanfare import-config mpush.conf --output fanfare.yaml`
}

// Run is called by kong.
func (cmd *importConfigCmd) Run(p *process) error {
	text, err := readConf(cmd.File)
	if err != nil {
		return usagef("%s: %w", cmd.File, err)
	}
	in, err := importConf(cmd.File, text, openConf)
	if err != nil {
		return usageError{err}
	}
	if err := cmd.write(p.stdout, in.yaml()); err != nil {
		return err
	}
	for _, line := range in.report() {
		if _, err := fmt.Fprintf(p.stderr, "fanfare: %s\n", line); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}

// write puts the configuration where the user wants it.
func (cmd *importConfigCmd) write(stdout io.Writer, yaml []byte) error {
	switch {
	case cmd.Output == "":
		_, err := stdout.Write(yaml)
		return err
	case cmd.Force:
		return replaceFile(cmd.Output, yaml)
	}
	f, err := os.OpenFile(cmd.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s exists; name another file, or overwrite it with --force", cmd.Output)
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	_, err = f.Write(yaml)
	return errors.Join(err, f.Close())
}

// replaceFile puts a new file in the place of an old one, whole or not at all. A link
// is replaced, not followed.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".fanfare-*") // readable for its owner alone
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the configuration: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// openConf opens an included file.
func openConf(name string) ([]byte, error) {
	text, err := readConf(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hocon.ErrNoFile
	}
	return text, err
}

// readConf reads a file up to the size that is taken.
func readConf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, why(err)
	}
	text, err := io.ReadAll(io.LimitReader(f, hocon.MaxSize+1))
	return text, errors.Join(why(err), f.Close())
}

// why leaves the name out of an error that is told behind the name.
func why(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("cannot be read: %w", path.Err)
	}
	return err
}
