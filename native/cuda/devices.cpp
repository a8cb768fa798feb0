// The GPUs of this machine as devices.
#include <cstdlib>

#include "core/device.h"
#include "core/error.h"
#include "cuda/context.h"
#include "cuda/executor.h"
#include "cuda/image.h"
#include "cuda/queue.h"

namespace pushforward {

namespace {

GpuFacts factsOf(const cuda::Driver& api, int ordinal) {
  GpuFacts facts;
  facts.name = "cuda:" + std::to_string(ordinal);
  facts.driver = true;
  int device = 0;
  const cuda::Result found = api.cuDeviceGet.function(&device, ordinal);
  if (found != cuda::success) {
    facts.description = "NVIDIA GPU";
    facts.reason = cuda::wordsOf(api, found);
    return facts;
  }
  char name[128] = "NVIDIA GPU";
  api.cuDeviceGetName.function(name, sizeof name, device);
  facts.description = name;
  size_t bytes = 0;
  if (api.cuDeviceTotalMem.function(&bytes, device) == cuda::success) facts.memoryBytes = static_cast<double>(bytes);
  facts.computeCapability = cuda::capabilityOf(api, device);
  facts.reason = cuda::lackOf(api, device);
  return facts;
}

}  // namespace

std::vector<GpuFacts> listGpus() {
  const cuda::Driver& api = cuda::driver();
  GpuFacts none;
  none.name = "cuda";
  none.description = "NVIDIA GPU";
  none.reason = api.absence;
  none.driver = api.library;
  if (!api.absence.empty()) return {none};
  int count = 0;
  const cuda::Result counted = api.cuDeviceGetCount.function(&count);
  if (counted != cuda::success || count == 0) {
    none.reason = counted == cuda::success ? "the driver finds none" : cuda::wordsOf(api, counted);
    return {none};
  }
  std::vector<GpuFacts> gpus;
  for (int ordinal = 0; ordinal < count; ++ordinal) gpus.push_back(factsOf(api, ordinal));
  try {
    cuda::imageFiles();
  } catch (const Error& error) {
    for (GpuFacts& gpu : gpus)
      if (gpu.reason.empty()) gpu.reason = error.what();
  }
  return gpus;
}

Device openGpu(const std::string& name, const std::string& precision) {
  if (!precision.empty() && precision != "f32")
    fail(Code::INVALID_ARGUMENT, "device", "precision 'f32' on device '" + name + "'",
         "'" + precision.substr(0, 40) + "'");
  const size_t colon = name.find(':');
  const std::string digits = colon == std::string::npos ? "0" : name.substr(colon + 1);
  if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos)
    fail(Code::INVALID_ARGUMENT, "device", "cuda or cuda:n", "'" + name.substr(0, 40) + "'");
  const int ordinal = std::atoi(digits.c_str());
  std::shared_ptr<cuda::Context> context = cuda::Context::open(ordinal);
  return {context->name(), "cuda", sizeof(float), 1, Precision::f32, 0, context, cuda::copyOnQueue, cuda::makeExecutor};
}

}  // namespace pushforward
