#pragma once
#include "module.h"
#include "syntax.h"

namespace softcuda {

// The kernel with its reachable functions as a Program (machine.h). Throws PtxError.
Kernel decode(const Function& function, const Syntax& syntax, const Module& module);

}  // namespace softcuda
