// gyp cannot make a static library of no files; this one keeps a group whose globs match nothing (an ISA of another processor) valid.
