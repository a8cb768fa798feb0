// The image: a file with all kernels, beside the addon.
#pragma once
#include <string>
#include <vector>

namespace pushforward::cuda {

/**
 * Files to try in turn: the one that PUSHFORWARD_CUDA_IMAGE names, else pushforward.fatbin and, for drivers that cannot read its machine
 * code, kernels.ptx beside the addon. NO_DEVICE where there is none.
 */
std::vector<std::string> imageFiles();

/** Its bytes, with a zero behind them, since PTX is a text. NO_DEVICE where it cannot be read or is nothing that a driver could load. */
std::string readImage(const std::string& file);

}  // namespace pushforward::cuda
