// Modules, functions, launches and their limits.
#include <cstring>
#include <string>

#include "driver_harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  CHECK(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

int loadResult(const std::string& image) {
  CUmodule module = nullptr;
  const int result = cuModuleLoadData(&module, image.c_str());
  if (result == CUDA_SUCCESS) OK(cuModuleUnload(module));
  return result;
}

void images() {
  GOOD(inProcess({}, [] {
    const Session session;
    EQUAL(loadResult(kernels), CUDA_SUCCESS);
    EQUAL(loadResult("\x50\xed\x55\xba fat binary"), CUDA_ERROR_INVALID_IMAGE);
    EQUAL(loadResult("\x7f"
                     "ELF"),
          CUDA_ERROR_INVALID_IMAGE);
    EQUAL(loadResult("garbage"), CUDA_ERROR_INVALID_IMAGE);
    EQUAL(loadResult(""), CUDA_ERROR_INVALID_IMAGE);
    EQUAL(loadResult("// a comment alone"), CUDA_ERROR_INVALID_IMAGE);
    EQUAL(loadResult(replaced(kernels, "mov.u32", "nonsense.u32")), CUDA_ERROR_INVALID_PTX);
    EQUAL(loadResult(replaced(kernels, "sm_80", "sm_90")), CUDA_ERROR_INVALID_PTX);
    EQUAL(loadResult(replaced(kernels, ".version 7.0", ".version 9.9")), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  }));
}

void versions() {
  const auto load = [](const char* version) {
    return [=] {
      const Session session;
      EQUAL(loadResult(replaced(kernels, ".version 7.0", std::string(".version ") + version)), CUDA_SUCCESS);
    };
  };
  const auto refuse = [](const char* version) {
    return [=] {
      const Session session;
      EQUAL(loadResult(replaced(kernels, ".version 7.0", std::string(".version ") + version)),
            CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    };
  };
  GOOD(inProcess({{"SOFTCUDA_VERSION", "11040"}}, load("7.4")));
  GOOD(inProcess({{"SOFTCUDA_VERSION", "11040"}}, refuse("7.5")));
  GOOD(inProcess({{"SOFTCUDA_VERSION", "12050"}}, refuse("9.0")));
  GOOD(inProcess({{"SOFTCUDA_VERSION", "13000"}}, load("9.0")));
  GOOD(inProcess({{"SOFTCUDA_CAPABILITY", "9.0"}}, [] {
    const Session session;
    EQUAL(loadResult(replaced(kernels, "sm_80", "sm_90")), CUDA_SUCCESS);
    EQUAL(loadResult(replaced(kernels, "sm_80", "sm_80a")), CUDA_ERROR_INVALID_PTX);
  }));
}

void jitLog() {
  GOOD(inProcess({}, [] {
    const Session session;
    const std::string bad = replaced(kernels, "mov.u32", "nonsense.u32");
    char log[400] = "untouched";
    int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    CUmodule module;
    EQUAL(cuModuleLoadDataEx(&module, bad.c_str(), 2, options, values), CUDA_ERROR_INVALID_PTX);
    CHECK(std::strstr(log, "nonsense"));
    EQUAL(reinterpret_cast<size_t>(values[1]), std::strlen(log));
    values[1] = reinterpret_cast<void*>(size_t{5});
    EQUAL(cuModuleLoadDataEx(&module, bad.c_str(), 2, options, values), CUDA_ERROR_INVALID_PTX);
    EQUAL(std::strlen(log), 4);
    int unknown = 99;
    EQUAL(cuModuleLoadDataEx(&module, bad.c_str(), 1, &unknown, values), CUDA_ERROR_INVALID_VALUE);
    values[1] = reinterpret_cast<void*>(sizeof log);
    OK(cuModuleLoadDataEx(&module, kernels, 2, options, values));
    EQUAL(reinterpret_cast<size_t>(values[1]), 0);
    OK(cuModuleUnload(module));
  }));
}

void names() {
  GOOD(inProcess({}, [] {
    const Session session;
    CUfunction function, again;
    EQUAL(cuModuleGetFunction(&function, session.module, "absent"), CUDA_ERROR_NOT_FOUND);
    OK(cuModuleGetFunction(&function, session.module, "add"));
    OK(cuModuleGetFunction(&again, session.module, "add"));
    CHECK(function == again);
    CUdeviceptr table;
    size_t bytes = 0;
    EQUAL(cuModuleGetGlobal_v2(&table, &bytes, session.module, "absent"), CUDA_ERROR_NOT_FOUND);
    OK(cuModuleGetGlobal_v2(&table, &bytes, session.module, "table"));
    EQUAL(bytes, 16);
    OK(launchAdd(session, table, 10, 4, nullptr));
    EQUAL(read(table, 4)[3], 14);
    OK(cuModuleGetGlobal_v2(nullptr, &bytes, session.module, "table"));
  }));
}

void attributes() {
  GOOD(inProcess({}, [] {
    const Session session;
    const CUfunction bounded = session.kernel("bounded");
    int value = 0;
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, bounded));
    EQUAL(value, 64);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, bounded));
    EQUAL(value, 1024);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, bounded));
    EQUAL(value, 80);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bounded));
    EQUAL(value, 48 * 1024 - 1024);
    EQUAL(cuFuncGetAttribute(&value, 77, bounded), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuFuncSetAttribute(bounded, CU_FUNC_ATTRIBUTE_NUM_REGS, 8), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuFuncSetAttribute(bounded, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 101),
          CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(bounded, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100));
  }));
}

struct Shape {
  unsigned grid[3], block[3], shared;
};

int launch(CUfunction function, CUdeviceptr to, const Shape& shape) {
  void* parameters[] = {&to};
  const unsigned *g = shape.grid, *b = shape.block;
  return cuLaunchKernel(function, g[0], g[1], g[2], b[0], b[1], b[2], shape.shared, nullptr, parameters, nullptr);
}

void limits() {
  GOOD(inProcess({}, [] {
    const Session session;
    const CUdeviceptr to = words(1, 0);
    const CUfunction bounded = session.kernel("bounded");
    const Shape good[] = {{{1, 1, 1}, {64, 1, 1}, 0}, {{1, 1, 1}, {1, 1, 64}, 0}, {{1, 1, 1}, {1, 1, 1}, 47 * 1024}};
    for (const Shape& shape : good) EQUAL(launch(bounded, to, shape), CUDA_SUCCESS);
    const CUfunction store = session.kernel("store");
    const Shape bad[] = {
        {{0, 1, 1}, {1, 1, 1}, 0},           {{1, 0, 1}, {1, 1, 1}, 0},     {{1, 1, 0}, {1, 1, 1}, 0},
        {{1, 1, 1}, {0, 1, 1}, 0},           {{1, 65536, 1}, {1, 1, 1}, 0}, {{1, 1, 65536}, {1, 1, 1}, 0},
        {{2147483648u, 1, 1}, {1, 1, 1}, 0}, {{1, 1, 1}, {1025, 1, 1}, 0},  {{1, 1, 1}, {1, 1025, 1}, 0},
        {{1, 1, 1}, {1, 1, 65}, 0},          {{1, 1, 1}, {32, 33, 1}, 0},   {{1, 1, 1}, {1, 1, 1}, 48 * 1024 + 1},
    };
    for (const Shape& shape : bad) EQUAL(launch(store, to, shape), CUDA_ERROR_INVALID_VALUE);
    EQUAL(launch(bounded, to, {{1, 1, 1}, {65, 1, 1}, 0}), CUDA_ERROR_INVALID_VALUE);
    EQUAL(launch(bounded, to, {{1, 1, 1}, {1, 1, 1}, 47 * 1024 + 1}), CUDA_ERROR_INVALID_VALUE);
    constexpr int dynamic = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    EQUAL(cuFuncSetAttribute(bounded, dynamic, 98 * 1024 + 1), CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(bounded, dynamic, 98 * 1024));
    EQUAL(launch(bounded, to, {{1, 1, 1}, {1, 1, 1}, 98 * 1024}), CUDA_SUCCESS);
    EQUAL(launch(bounded, to, {{1, 1, 1}, {1, 1, 1}, 98 * 1024 + 1}), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSynchronize());  // none of these failed on the device
  }));
}

void parametersInABuffer() {
  GOOD(inProcess({}, [] {
    const Session session;
    struct {
      CUdeviceptr to;
      unsigned amount, count;
    } packed{words(4, 1), 5, 4};
    size_t size = sizeof packed;
    void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &size, nullptr};
    const CUfunction add = session.kernel("add");
    OK(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, extra));
    EQUAL(read(packed.to, 4)[3], 6);
    size = 12;
    EQUAL(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, extra), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_ERROR_INVALID_VALUE);
    extra[0] = reinterpret_cast<void*>(7);
    EQUAL(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, extra), CUDA_ERROR_INVALID_VALUE);
  }));
}

void unloaded() {
  GOOD(inProcess({}, [] {
    const Session session;
    CUmodule module;
    CUfunction store;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr data = words(1, 0);
    void* parameters[] = {&data};
    OK(cuModuleLoadData(&module, kernels));
    OK(cuModuleGetFunction(&store, module, "store"));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr));
    OK(cuModuleUnload(module));  // after the work in flight
    EQUAL(read(data, 1)[0], 7);
    EQUAL(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr), CUDA_ERROR_INVALID_HANDLE);
    EQUAL(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
    OK(cuGraphLaunch(exec, stream));
    EQUAL(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_PC);
  }));
}

}  // namespace

int main(int count, char** arguments) {
  return runCases({{"images", images},
                   {"versions", versions},
                   {"jit log", jitLog},
                   {"names", names},
                   {"attributes", attributes},
                   {"launch limits", limits},
                   {"parameters in a buffer", parametersInABuffer},
                   {"unloaded module", unloaded}},
                  count, arguments);
}
