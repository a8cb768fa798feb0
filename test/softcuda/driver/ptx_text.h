// What a driver asks of PTX before it compiles it.
#pragma once
#include <string>

namespace softcuda::driver {

/** Throws Error CUDA_ERROR_INVALID_IMAGE for what is no PTX text (machine code, a fat binary, garbage). */
std::string ptxText(const void* image);
/** Throws Error CUDA_ERROR_UNSUPPORTED_PTX_VERSION or CUDA_ERROR_INVALID_PTX when `.version` or `.target` are too new. */
void requireSupported(const std::string& ptx);

}  // namespace softcuda::driver
