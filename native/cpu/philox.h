// Philox, several blocks at once. A 32-bit word sits in the lower half of a 64-bit lane, whose upper half is whatever
// a product left there: then the lower word of a product needs no instruction at all, and a round is two
// multiplications, two shifts and the xors.
#pragma once
#include "core/philox.h"
#include "cpu/several.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int groupBlocks = lanes / 2;           // blocks drawn at once
constexpr int groupValues = 4 * groupBlocks;     // uniforms or gaussians, two registers of them
constexpr int sideBySide = lanes == 16 ? 6 : 2;  // groups whose state fits the registers

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

/** The upper words in the lower halves. A shuffle: processors do more of them at a time than shifts. */
PUSHFORWARD_INLINE Wide upperWords(Wide x) {
#if PUSHFORWARD_LANES == 16
  return (Wide)_mm512_shuffle_epi32((__m512i)x, _MM_PERM_DDBB);
#elif PUSHFORWARD_LANES == 8
  return (Wide)_mm256_shuffle_epi32((__m256i)x, 0xF5);
#elif defined(__x86_64__)
  return (Wide)_mm_shuffle_epi32((__m128i)x, 0xF5);
#else
  return x >> 32;
#endif
}

PUSHFORWARD_INLINE Wide xor3(Wide x, Wide y, Wide z) {
#if PUSHFORWARD_LANES == 16
  return (Wide)_mm512_ternarylogic_epi64((__m512i)x, (__m512i)y, (__m512i)z, 0x96);
#else
  return x ^ y ^ z;
#endif
}

PUSHFORWARD_INLINE Wide spread(uint32_t x) { return uint64_t{x} - Wide{}; }

/**
 * A Draw spread over the lanes. In it the block alone differs from lane to lane, so half of the first two rounds is
 * the same in all of them and done here. The round keys lie in memory: made anew for every group they would cost a
 * third of its time.
 */
struct Source {
  Wide first, second0, second2, second3;  // what rounds 0 and 1 still need; second3 is x3 itself
  Wide key0[7], key1[7], last;            // of rounds 2 to 8; of round 9 both, side by side

  explicit Source(const Draw& draw) {
    uint32_t k0 = draw.key[0], k1 = draw.key[1];
    const uint64_t p1 = uint64_t{philoxMultiplier1} * ((draw.stream << 24) + draw.direction);
    const uint64_t x0 = (p1 >> 32) ^ draw.parameter ^ k0, p0 = philoxMultiplier0 * x0;
    first = spread(draw.step ^ k1);
    k0 += philoxWeyl0, k1 += philoxWeyl1;
    second0 = spread(static_cast<uint32_t>(p1) ^ k0);
    second2 = spread(static_cast<uint32_t>(p0 >> 32) ^ k1);
    second3 = spread(static_cast<uint32_t>(p0));
    for (int round = 0; round < 7; ++round) {
      k0 += philoxWeyl0, k1 += philoxWeyl1;
      key0[round] = spread(k0);
      key1[round] = spread(k1);
    }
    last = (uint64_t{k1 + philoxWeyl1} << 32 | (k0 + philoxWeyl0)) - Wide{};
  }
};

/** Words of each lane's block: 0 and 2, 1 and 3 in the lower and upper halves. */
struct Words {
  Wide even, odd;
};

/** The lower halves of x and of y, alternating. */
PUSHFORWARD_INLINE Wide pairWords(Wide x, Wide y) {
#if PUSHFORWARD_LANES == 16
  return (Wide)_mm512_mask_shuffle_epi32((__m512i)x, 0xAAAA, (__m512i)y, _MM_PERM_CCAA);
#elif PUSHFORWARD_LANES == 8
  return (Wide)_mm256_blend_epi32((__m256i)x, (__m256i)(y << 32), 0xAA);
#else
  return (x & 0xFFFFFFFFu) | (y << 32);
#endif
}

/** The same of the upper halves. */
PUSHFORWARD_INLINE Wide pairUpperWords(Wide x, Wide y) {
#if PUSHFORWARD_LANES == 16
  return (Wide)_mm512_mask_shuffle_epi32((__m512i)y, 0x5555, (__m512i)x, _MM_PERM_DDBB);
#elif PUSHFORWARD_LANES == 8
  return (Wide)_mm256_blend_epi32((__m256i)(x >> 32), (__m256i)y, 0xAA);
#else
  return x >> 32 | (y & 0xFFFFFFFF00000000u);
#endif
}

/**
 * `count` vectors of blocks side by side: ten rounds are a chain of some 70 cycles, and a processor finds the next
 * vector's instructions too late when they come one chain after another.
 */
template <int count>
PUSHFORWARD_INLINE void drawWords(const Source& from, const Wide (&blocks)[count], Words (&out)[count]) {
  const Source* source = &from;
  __asm__ volatile("" : "+r"(source));  // or GCC keeps the keys in registers, and the state on the stack
  Wide x0[count], x1[count], x2[count], x3[count];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) {
    const Wide p0 = multiplyWords(blocks[i], philoxMultiplier0);
    const Wide p1 = multiplyWords(upperWords(p0) ^ source->first, philoxMultiplier1);
    x0[i] = upperWords(p1) ^ source->second0;
    x1[i] = p1;
    x2[i] = p0 ^ source->second2;
    x3[i] = source->second3;
  }
#pragma GCC unroll 8
  for (int round = 0; round < 7; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      const Wide p0 = multiplyWords(x0[i], philoxMultiplier0), p1 = multiplyWords(x2[i], philoxMultiplier1);
      x0[i] = xor3(upperWords(p1), x1[i], source->key0[round]);
      x1[i] = p1;
      x2[i] = xor3(upperWords(p0), x3[i], source->key1[round]);
      x3[i] = p0;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) {
    const Wide p0 = multiplyWords(x0[i], philoxMultiplier0), p1 = multiplyWords(x2[i], philoxMultiplier1);
    out[i] = {xor3(pairUpperWords(p1, p0), pairWords(x1[i], x3[i]), source->last), pairWords(p1, p0)};
  }
}

// Inside each 128 bits: x0 y0 x1 y1 and x2 y2 x3 y3.
#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm512_unpacklo_ps((__m512)x, (__m512)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm512_unpackhi_ps((__m512)x, (__m512)y); }
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm256_unpacklo_ps((__m256)x, (__m256)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm256_unpackhi_ps((__m256)x, (__m256)y); }
#elif defined(__x86_64__)
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm_unpacklo_ps((__m128)x, (__m128)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm_unpackhi_ps((__m128)x, (__m128)y); }
#else
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

/** The same for several vectors. */
struct SeveralArithmetic {
  using F = Several<Float>;
  using U = Several<Unsigned>;
  PUSHFORWARD_INLINE F fma(const F& x, const F& y, const F& z) {
    return forEach([&](int i) { return VectorArithmetic::fma(x.each[i], y.each[i], z.each[i]); });
  }
  PUSHFORWARD_INLINE F sqrt(const F& x) {
    return forEach([&](int i) { return VectorArithmetic::sqrt(x.each[i]); });
  }
  PUSHFORWARD_INLINE F constant(float x) {
    return forEach([&](int) { return broadcast(x); });
  }
  PUSHFORWARD_INLINE F fromInteger(const U& x) {
    return forEach([&](int i) { return VectorArithmetic::fromInteger(x.each[i]); });
  }
  PUSHFORWARD_INLINE U bits(const F& x) {
    return forEach([&](int i) { return asUnsigned(x.each[i]); });
  }
  PUSHFORWARD_INLINE F real(const U& x) {
    return forEach([&](int i) { return asFloat(x.each[i]); });
  }
  PUSHFORWARD_INLINE F select(const U& u, uint32_t bit, const F& x, const F& y) {
    return forEach([&](int i) { return VectorArithmetic::select(u.each[i], bit, x.each[i], y.each[i]); });
  }
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
  PUSHFORWARD_INLINE GroupWords words(const Words& w) {
    return {(Unsigned)interleaveLow((Float)w.even, (Float)w.odd),
            (Unsigned)interleaveHigh((Float)w.even, (Float)w.odd)};
  }
  PUSHFORWARD_INLINE Several<Group> values(const Several<GroupWords>& words) {
    const auto uniforms = [](Unsigned w) { return toFloat(asInt((w >> 8) | 1u)) * 0x1p-24f; };
    return forEach([&](int i) { return Group{uniforms(words.each[i].first), uniforms(words.each[i].second)}; });
  }
};
struct GaussianLaw {
  PUSHFORWARD_INLINE GroupWords words(const Words& w) { return {(Unsigned)w.even, (Unsigned)w.odd}; }
  PUSHFORWARD_INLINE Several<Group> values(const Several<GroupWords>& words) {
    Several<Float> z0, z1;
    gaussianPair<SeveralArithmetic>(forEach([&](int i) { return words.each[i].first; }),
                                    forEach([&](int i) { return words.each[i].second; }), z0, z1);
    return forEach(
        [&](int i) { return Group{interleaveLow(z0.each[i], z1.each[i]), interleaveHigh(z0.each[i], z1.each[i])}; });
  }
};

/** ±one by bits [first, first + lanes): 0 is +one. */
PUSHFORWARD_INLINE Float signs(uint32_t bits, int first, Float one = broadcast(1.0f)) {
#if PUSHFORWARD_LANES == 16
  return (Float)_mm512_mask_blend_ps(static_cast<__mmask16>(bits >> first), (__m512)one, (__m512)(-one));
#else
  return (broadcast(bits) & (1u << asUnsigned(iota() + first))) != 0u ? -one : one;
#endif
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
