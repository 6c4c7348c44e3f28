package paths

import "io/fs"

// foreign is always false: on Windows the profile folder's access list keeps others out.
func foreign(fs.FileInfo) bool { return false }

// syncDir does nothing: Windows cannot sync a folder, and NTFS journals a rename.
func syncDir(string) error { return nil }
