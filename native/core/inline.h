// Internal linkage and forced inlining: a header shared by files built for different instruction sets must leave no
// out-of-line copy behind, or the linker may keep the AVX-512 one for everyone.
#pragma once

#if defined(__CUDACC__)
#define PUSHFORWARD_INLINE static __host__ __device__ __forceinline__
#else
#define PUSHFORWARD_INLINE static inline __attribute__((always_inline))
#endif
