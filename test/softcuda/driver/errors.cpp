#include "errors.h"

#include <algorithm>
#include <iterator>

#include "api.h"

namespace softcuda::driver {

namespace {

struct Row {
  int code;
  const char *name, *sentence;
};
constexpr Row rows[] = {
#define SOFTCUDA_ROW(name, code, sentence) {code, #name, sentence},
    SOFTCUDA_ERRORS(SOFTCUDA_ROW)
#undef SOFTCUDA_ROW
};

const Row* find(int code) {
  for (const Row& row : rows)
    if (row.code == code) return &row;
  return nullptr;
}

}  // namespace

const char* errorName(int code) {
  const Row* row = find(code);
  return row ? row->name : nullptr;
}

const char* errorString(int code) {
  const Row* row = find(code);
  return row ? row->sentence : nullptr;
}

int errorCode(const std::string& text) {
  for (const Row& row : rows)
    if (text == row.name || text == std::to_string(row.code)) return row.code;
  return -1;
}

bool sticky(int code) {
  constexpr int codes[] = {CUDA_ERROR_ECC_UNCORRECTABLE,    CUDA_ERROR_ILLEGAL_ADDRESS,
                           CUDA_ERROR_LAUNCH_TIMEOUT,       CUDA_ERROR_ASSERT,
                           CUDA_ERROR_HARDWARE_STACK_ERROR, CUDA_ERROR_ILLEGAL_INSTRUCTION,
                           CUDA_ERROR_MISALIGNED_ADDRESS,   CUDA_ERROR_INVALID_ADDRESS_SPACE,
                           CUDA_ERROR_INVALID_PC,           CUDA_ERROR_LAUNCH_FAILED};
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

}  // namespace softcuda::driver

using namespace softcuda;

CUresult cuGetErrorName(CUresult error, const char** name) {
  if (!name) return CUDA_ERROR_INVALID_VALUE;
  *name = driver::errorName(error);
  return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char** sentence) {
  if (!sentence) return CUDA_ERROR_INVALID_VALUE;
  *sentence = driver::errorString(error);
  return *sentence ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
