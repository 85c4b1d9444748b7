package manifest

import (
	"fmt"
	"io"
)

// describe writes the file, under name, such that two files are described alike only if they are.
func (f File) describe(w io.Writer, name string) {
	fmt.Fprintf(w, "%q %v %s %q\n", name, f.Mode, f.Digest, f.Target)
}
