#include "cuda/image.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/error.h"

namespace pushforward::cuda {

std::vector<std::string> imageFiles() {
  const char* named = std::getenv("PUSHFORWARD_CUDA_IMAGE");
  if (named && *named) {
    if (access(named, R_OK) != 0)
      fail(Code::NO_DEVICE, "device", "PUSHFORWARD_CUDA_IMAGE to name a file",
           "'" + std::string(named).substr(0, 200) + "': " + std::strerror(errno));
    return {named};
  }
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&imageFiles), &self) || !self.dli_fname) self.dli_fname = "";
  const std::string addon = self.dli_fname, folder = addon.substr(0, addon.rfind('/') + 1);
  std::vector<std::string> files;
  for (const char* name : {"pushforward.fatbin", "kernels.ptx"})
    if (access((folder + name).c_str(), R_OK) == 0) files.push_back(folder + name);
  if (files.empty())
    fail(Code::NO_DEVICE, "device", "CUDA kernels beside the addon (pushforward.fatbin)",
         "none: it was built without CUDA kernels, which takes CMake and nvcc");
  return files;
}

std::string readImage(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream || bytes.empty()) fail(Code::NO_DEVICE, "device", "an image of kernels that can be read", file);
  // The driver trusts what a header says of lengths, so what is cut short must not reach it.
  constexpr uint32_t fatbinMagic = 0xBA55ED50u;
  constexpr size_t headerBytes = 16;
  uint32_t magic = 0;
  uint64_t payload = 0;
  if (bytes.size() >= headerBytes) {
    std::memcpy(&magic, bytes.data(), sizeof magic);
    std::memcpy(&payload, bytes.data() + 8, sizeof payload);
  }
  const bool fatbin = magic == fatbinMagic && payload == bytes.size() - headerBytes;
  const bool ptx = bytes.find(".version") != std::string::npos && bytes.find(".target") != std::string::npos;
  const bool cubin = bytes.compare(0, 4,
                                   "\x7f"
                                   "ELF") == 0;
  if (!fatbin && !ptx && !cubin)
    fail(Code::NO_DEVICE, "device", "an image of kernels: a fat binary, a cubin or PTX", file + ", which is corrupt");
  return bytes;
}

}  // namespace pushforward::cuda
