// Every case runs in a process of its own, since settings and the end-of-process reports belong to a process.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../driver/api.h"

namespace softcuda::test {

using Environment = std::vector<std::pair<std::string, std::string>>;

/** What a process left behind: exit code (128 + signal when killed), stderr, and the files behind SOFTCUDA_LEAKS, _FAULTS,
 * _TRACE and _REPORT. */
struct Outcome {
  int status;
  std::string errors, leaks, faults, trace, report;
};

Outcome inProcess(const Environment& environment, const std::function<void()>& body);

void require(bool condition, const char* text, const char* file, int line);
void requireEqual(long long received, long long expected, const char* text, const char* file, int line);
#define CHECK(condition) ::softcuda::test::require((condition), #condition, __FILE__, __LINE__)
#define EQUAL(received, expected) \
  ::softcuda::test::requireEqual((long long)(received), (long long)(expected), #received, __FILE__, __LINE__)
/** A driver call that must succeed. */
#define OK(call) EQUAL(call, CUDA_SUCCESS)
/** A process in which every check held. */
#define GOOD(outcome) ::softcuda::test::require((outcome).status == 0, (outcome).errors.c_str(), __FILE__, __LINE__)

struct Case {
  const char* name;
  void (*body)();
};
/** Runs the cases whose names contain the first argument; 1 when one fails. */
int runCases(const std::vector<Case>& cases, int count, char** arguments);

/** cuInit, the primary context of device 0 made current, the test kernels (kernels.h) loaded. */
struct Session {
  Session();
  ~Session();  // releases everything it holds
  CUcontext context;
  CUmodule module;
  CUfunction kernel(const char* name) const;
};

/** Device memory of `count` 32-bit words, all `value`. */
CUdeviceptr words(size_t count, unsigned value);
std::vector<unsigned> read(CUdeviceptr address, size_t count);
/** word i += amount, for i < count */
CUresult launchAdd(const Session& session, CUdeviceptr to, unsigned amount, unsigned count, CUstream stream);
/** to[i] = from[i], for i < count */
CUresult launchCopy(const Session& session, CUdeviceptr to, CUdeviceptr from, unsigned count, CUstream stream);
/** The 32-bit word at an address = 7 */
CUresult launchStore(const Session& session, CUdeviceptr address, CUstream stream);

extern const char kernels[];  // PTX

}  // namespace softcuda::test
