// The functions of CUDA's mathematics library as nvcc expands them: local arrays, carries, calls, float64.
#define UNARY(name, function)                                        \
  extern "C" __global__ void name(const float* x, float* y, int n) { \
    int i = blockIdx.x * blockDim.x + threadIdx.x;                   \
    if (i < n) y[i] = function(x[i]);                                \
  }
UNARY(k_sinf, sinf)
UNARY(k_cosf, cosf)
UNARY(k_tanf, tanf)
UNARY(k_expf, expf)
UNARY(k_exp2f, exp2f)
UNARY(k_expm1f, expm1f)
UNARY(k_logf, logf)
UNARY(k_log1pf, log1pf)
UNARY(k_log2f, log2f)
UNARY(k_tanhf, tanhf)
UNARY(k_sinhf, sinhf)
UNARY(k_atanf, atanf)
UNARY(k_asinf, asinf)
UNARY(k_erff, erff)
UNARY(k_erfcf, erfcf)
UNARY(k_lgammaf, lgammaf)
UNARY(k_tgammaf, tgammaf)
UNARY(k_cbrtf, cbrtf)
UNARY(k_rsqrtf, rsqrtf)
UNARY(k_normcdfinvf, normcdfinvf)
UNARY(k_roundf, roundf)
UNARY(k_powf, [](float v) { return powf(fabsf(v), 1.7f); })
UNARY(k_fmodf, [](float v) { return fmodf(v, 0.7f); })
UNARY(k_atan2f, [](float v) { return atan2f(v, 0.3f); })
UNARY(k_sin, [](float v) { return (float)sin(1e6 * v); })
UNARY(k_exp, [](float v) { return (float)exp((double)v); })
UNARY(k_log, [](float v) { return (float)log((double)v); })
UNARY(k_divide, [](float v) { return (float)(1.0 / ((double)v + 3)); })
UNARY(k_sqrt, [](float v) { return (float)sqrt((double)v); })
UNARY(k_large_sine, [](float v) { return sinf(v * 1e8f); })

// Philox4x32-10: two rounds of products and exclusive ors, ten times.
extern "C" __global__ void philox(unsigned* y, unsigned key0, unsigned key1) {
  unsigned c[4] = {threadIdx.x, blockIdx.x, 7, 9};
  for (int r = 0; r < 10; ++r) {
    unsigned h0 = __umulhi(0xD2511F53u, c[0]), l0 = 0xD2511F53u * c[0];
    unsigned h1 = __umulhi(0xCD9E8D57u, c[2]), l1 = 0xCD9E8D57u * c[2];
    unsigned next[4] = {h1 ^ c[1] ^ key0, l1, h0 ^ c[3] ^ key1, l0};
    for (int k = 0; k < 4; ++k) c[k] = next[k];
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  reinterpret_cast<uint4*>(y)[blockIdx.x * blockDim.x + threadIdx.x] = make_uint4(c[0], c[1], c[2], c[3]);
}
