// Initialisation and the questions about a device.
#include <cstring>

#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

constexpr int sharedBytes = 48 << 10, sharedOptIn = 99 << 10;  // what every GPU of 8.0 and newer gives

struct {
  int attribute, value;
} constexpr attributes[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, sharedBytes},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 64 << 10},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000},
    {CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16},
    {CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT, 0},
    {CU_DEVICE_ATTRIBUTE_INTEGRATED, 0},
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 0},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, 0},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_ECC_ENABLED, 0},
    {CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 1},
    {CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 0},
    {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 256},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 4 << 20},
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 1536},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, 0},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 0},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 100 << 10},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 0},
    {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 32},
    {CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 0},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 0},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, sharedOptIn},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 16},
    {CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 0},
};

int attributeOf(int attribute) {
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) return Settings::get().major;
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) return Settings::get().minor;
  for (const auto& row : attributes)
    if (row.attribute == attribute) return row.value;
  throw Error{CUDA_ERROR_INVALID_VALUE, "softcuda knows no such attribute"};
}

void require(CUdevice device) {
  if (device < 0 || device >= Settings::get().devices) throw Error{CUDA_ERROR_INVALID_DEVICE, "no such device"};
}

void require(const void* pointer) {
  if (!pointer) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
}

}  // namespace

CUresult cuInit(unsigned flags) {
  return Call(__func__, 0, flags).run([&] {
    if (flags) throw Error{CUDA_ERROR_INVALID_VALUE, "flags must be 0"};
    if (Settings::get().devices == 0) throw Error{CUDA_ERROR_NO_DEVICE, "SOFTCUDA_DEVICES=0"};
    Driver::get().initialised = true;
  });
}

CUresult cuDriverGetVersion(int* version) {
  return Call(__func__, 0, version).run([&] {
    require(version);
    *version = Settings::get().version;
  });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return Call(__func__, kInitialised, device, ordinal).run([&] {
    require(device);
    require(ordinal);
    *device = ordinal;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return Call(__func__, kInitialised, count).run([&] {
    require(count);
    *count = Settings::get().devices;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return Call(__func__, kInitialised, static_cast<void*>(name), length, device).run([&] {
    require(name);
    require(device);
    if (length < 1) throw Error{CUDA_ERROR_INVALID_VALUE, "no room for a name"};
    std::strncpy(name, "softcuda", static_cast<size_t>(length));
    name[length - 1] = 0;
  });
}

CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  return Call(__func__, kInitialised, value, attribute, device).run([&] {
    require(value);
    require(device);
    *value = attributeOf(attribute);
  });
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return Call(__func__, kInitialised, bytes, device).run([&] {
    require(bytes);
    require(device);
    *bytes = Driver::get().devices[static_cast<size_t>(device)]->memory.limit();
  });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  return Call(__func__, kInitialised, uuid, device).run([&] {
    require(uuid);
    require(device);
    std::memcpy(uuid->bytes, "softcuda softcud", sizeof uuid->bytes);
    uuid->bytes[15] = static_cast<char>(device);
  });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) { return cuDeviceGetUuid(uuid, device); }
