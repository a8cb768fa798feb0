// Philox, several blocks at once. A 32-bit word sits in the lower half of a 64-bit lane, whose upper half is whatever
// a product left there: then the lower word of a product needs no instruction at all, and a round is two
// multiplications, two shifts and the xors.
#pragma once
#include "core/philox.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int groupBlocks = lanes / 2;        // blocks drawn at once
constexpr int groupValues = 4 * groupBlocks;  // uniforms or gaussians, two registers of them
constexpr int groupSigns = 128 * groupBlocks;

/**
 * Counter offsets of the lanes, for `groupBlocks` consecutive blocks: 0, g/2, 1, g/2 + 1, … Interleaving two
 * registers of 64-bit lanes inside each 128 bits, the only cheap way, then puts the blocks in order.
 */
PUSHFORWARD_INLINE Wide laneBlocks() {
#if PUSHFORWARD_LANES == 16
  return Wide{0, 4, 1, 5, 2, 6, 3, 7};
#elif PUSHFORWARD_LANES == 8
  return Wide{0, 2, 1, 3};
#else
  return Wide{0, 1};
#endif
}
/**
 * Offsets of the lanes for slots [0, groupBlocks) at slot/width rows of `stride` blocks and slot mod width blocks.
 */
PUSHFORWARD_INLINE Wide laneBlocks(int width, uint64_t stride) {
  uint64_t offsets[groupBlocks];
  for (int lane = 0; lane < groupBlocks; ++lane) {
    const int slot = lane / 2 + lane % 2 * (groupBlocks / 2);
    offsets[lane] = static_cast<uint64_t>(slot / width) * stride + static_cast<uint64_t>(slot % width);
  }
  Wide x;
  __builtin_memcpy(&x, offsets, sizeof x);
  return x;
}

/** x times the lower words of y. */
PUSHFORWARD_INLINE Wide multiplyWords(Wide x, uint32_t y) {
#if PUSHFORWARD_LANES == 16
  return (Wide)_mm512_mul_epu32((__m512i)x, _mm512_set1_epi64(y));
#elif PUSHFORWARD_LANES == 8
  return (Wide)_mm256_mul_epu32((__m256i)x, _mm256_set1_epi64x(y));
#elif defined(__x86_64__)
  return (Wide)_mm_mul_epu32((__m128i)x, _mm_set1_epi64x(y));
#else
  return (x & 0xFFFFFFFFu) * uint64_t{y};
#endif
}

PUSHFORWARD_INLINE Wide xor3(Wide x, Wide y, Wide z) {
#if PUSHFORWARD_LANES == 16
  return (Wide)_mm512_ternarylogic_epi64((__m512i)x, (__m512i)y, (__m512i)z, 0x96);
#else
  return x ^ y ^ z;
#endif
}

/**
 * A Draw spread over the lanes. The round keys lie in memory: made anew for every group they would cost a third of
 * its time.
 */
struct Source {
  Wide parameter, direction, step;
  Wide key0[10], key1[10];

  explicit Source(const Draw& draw)
      : parameter(uint64_t{draw.parameter} - Wide{}),
        direction(uint64_t{(draw.stream << 24) + draw.direction} - Wide{}),
        step(uint64_t{draw.step} - Wide{}) {
    uint32_t k0 = draw.key[0], k1 = draw.key[1];
    for (int round = 0; round < 10; ++round, k0 += philoxWeyl0, k1 += philoxWeyl1) {
      key0[round] = uint64_t{k0} - Wide{};
      key1[round] = uint64_t{k1} - Wide{};
    }
  }
};

/** Words 0 to 3 of each lane's block, in the lower halves. */
struct Words {
  Wide word[4];
};

PUSHFORWARD_INLINE Words drawWords(const Source& source, Wide blocks) {
  Wide x0 = blocks, x1 = source.parameter, x2 = source.direction, x3 = source.step;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const Wide p0 = multiplyWords(x0, philoxMultiplier0), p1 = multiplyWords(x2, philoxMultiplier1);
    x0 = xor3(p1 >> 32, x1, source.key0[round]);
    x1 = p1;
    x2 = xor3(p0 >> 32, x3, source.key1[round]);
    x3 = p0;
  }
  return {{x0, x1, x2, x3}};
}

/** The lower halves of x and of y, alternating. */
PUSHFORWARD_INLINE Wide pairWords(Wide x, Wide y) { return (x & 0xFFFFFFFFu) | (y << 32); }

// Inside each 128 bits: x0 y0 and x1 y1 of 64-bit lanes; x0 y0 x1 y1 and x2 y2 x3 y3 of 32-bit lanes.
#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE Wide interleaveLow(Wide x, Wide y) { return (Wide)_mm512_unpacklo_epi64((__m512i)x, (__m512i)y); }
PUSHFORWARD_INLINE Wide interleaveHigh(Wide x, Wide y) { return (Wide)_mm512_unpackhi_epi64((__m512i)x, (__m512i)y); }
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm512_unpacklo_ps((__m512)x, (__m512)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm512_unpackhi_ps((__m512)x, (__m512)y); }
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE Wide interleaveLow(Wide x, Wide y) { return (Wide)_mm256_unpacklo_epi64((__m256i)x, (__m256i)y); }
PUSHFORWARD_INLINE Wide interleaveHigh(Wide x, Wide y) { return (Wide)_mm256_unpackhi_epi64((__m256i)x, (__m256i)y); }
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm256_unpacklo_ps((__m256)x, (__m256)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm256_unpackhi_ps((__m256)x, (__m256)y); }
#elif defined(__x86_64__)
PUSHFORWARD_INLINE Wide interleaveLow(Wide x, Wide y) { return (Wide)_mm_unpacklo_epi64((__m128i)x, (__m128i)y); }
PUSHFORWARD_INLINE Wide interleaveHigh(Wide x, Wide y) { return (Wide)_mm_unpackhi_epi64((__m128i)x, (__m128i)y); }
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm_unpacklo_ps((__m128)x, (__m128)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm_unpackhi_ps((__m128)x, (__m128)y); }
#else
PUSHFORWARD_INLINE Wide interleaveLow(Wide x, Wide y) { return Wide{x[0], y[0]}; }
PUSHFORWARD_INLINE Wide interleaveHigh(Wide x, Wide y) { return Wide{x[1], y[1]}; }
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return Float{x[0], y[0], x[1], y[1]}; }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return Float{x[2], y[2], x[3], y[3]}; }
#endif

/** What core/philox.h asks of an arithmetic. */
struct VectorArithmetic {
  using F = Float;
  using U = Unsigned;
  PUSHFORWARD_INLINE F fma(F x, F y, F z) { return cpu::PUSHFORWARD_ISA::fma(x, y, z); }
  PUSHFORWARD_INLINE F sqrt(F x) { return cpu::PUSHFORWARD_ISA::sqrt(x); }
  PUSHFORWARD_INLINE F constant(float x) { return broadcast(x); }
  PUSHFORWARD_INLINE F fromInteger(U x) { return toFloat(asInt(x)); }
  PUSHFORWARD_INLINE U bits(F x) { return asUnsigned(x); }
  PUSHFORWARD_INLINE F real(U u) { return asFloat(u); }
  PUSHFORWARD_INLINE F select(U u, uint32_t bit, F x, F y) { return (u & bit) != 0u ? x : y; }
};

/** Values of `groupBlocks` blocks, in the order of the slots of laneBlocks. */
struct Group {
  Float low, high;
};

/** Two registers of words, from which the values of a group come. */
struct GroupWords {
  Unsigned first, second;
};

// A law in two halves: the words, then the values. One after the other for several groups is faster than both for
// each: Philox and Box–Muller are chains of some 70 and 110 cycles, of which a processor holds more at once when they
// are not strung together.
struct UniformLaw {
  PUSHFORWARD_INLINE GroupWords words(const Source& source, Wide blocks) {
    const Words w = drawWords(source, blocks);
    const Wide first = pairWords(w.word[0], w.word[1]), second = pairWords(w.word[2], w.word[3]);
    return {(Unsigned)interleaveLow(first, second), (Unsigned)interleaveHigh(first, second)};
  }
  PUSHFORWARD_INLINE Group values(GroupWords w) {
    return {toFloat(asInt((w.first >> 8) | 1u)) * 0x1p-24f, toFloat(asInt((w.second >> 8) | 1u)) * 0x1p-24f};
  }
};
struct GaussianLaw {
  PUSHFORWARD_INLINE GroupWords words(const Source& source, Wide blocks) {
    const Words w = drawWords(source, blocks);
    return {(Unsigned)pairWords(w.word[0], w.word[2]), (Unsigned)pairWords(w.word[1], w.word[3])};
  }
  PUSHFORWARD_INLINE Group values(GroupWords w) {
    Float z0, z1;
    gaussianPair<VectorArithmetic>(w.first, w.second, z0, z1);
    return {interleaveLow(z0, z1), interleaveHigh(z0, z1)};
  }
};

/** The words themselves, four a block. */
PUSHFORWARD_INLINE void drawSignWords(const Source& source, Wide blocks, uint32_t* words) {
  const GroupWords w = UniformLaw::words(source, blocks);
  store(words, w.first);
  store(words + lanes, w.second);
}

/**
 * ±1 for bits [bit, bit + lanes) of the words, read as one string of bits; four bytes behind the last must be
 * readable.
 */
PUSHFORWARD_INLINE Float signsAt(const uint32_t* words, int64_t bit) {
  uint32_t bits;
  __builtin_memcpy(&bits, reinterpret_cast<const char*>(words) + (bit >> 3), sizeof bits);
  bits >>= bit & 7;
#if PUSHFORWARD_LANES == 16
  return (Float)_mm512_mask_blend_ps(static_cast<__mmask16>(bits), _mm512_set1_ps(1.0f), _mm512_set1_ps(-1.0f));
#else
#if PUSHFORWARD_LANES == 8
  const Int mask = Int{1, 2, 4, 8, 16, 32, 64, 128};
#else
  const Int mask = Int{1, 2, 4, 8};
#endif
  return (static_cast<int32_t>(bits) & mask) != 0 ? broadcast(-1.0f) : broadcast(1.0f);
#endif
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
