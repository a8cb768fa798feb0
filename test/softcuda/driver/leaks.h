// What lives on when a context ends, and at the end of the process, where the reports are written.
#pragma once
#include <string>
#include <vector>

#include "objects.h"

namespace softcuda::driver {

/** One line for each live object of the context. */
std::vector<std::string> leaksOf(const Context& context);

}  // namespace softcuda::driver
