// Functions of a Float vector, at most 3 units in the last place from the truth over the whole range, denormal
// results included; NaN in, NaN out. Where float32 is hard (arguments that an error would blow up) a part is done in
// float64 lanes.
#pragma once
#include "core/philox.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr float infinity = __builtin_inff();
constexpr float notANumber = __builtin_nanf("");

PUSHFORWARD_INLINE Int isNaN(Float x) { return x != x; }

/** Coefficients from the highest down, by Horner. */
template <class V, class C, class... Rest>
PUSHFORWARD_INLINE V polynomial(V x, V p, C c, Rest... rest) {
  const V q = multiplyAdd(p, x, broadcast(c));
  if constexpr (sizeof...(rest) == 0) {
    return q;
  } else {
    return polynomial(x, q, rest...);
  }
}

/** e^x = (1 + p) 2ⁿ, |x| ≤ 104: p = e^r − 1, |r| ≤ ln 2 / 2. */
struct Exponential {
  Float p, n;
};
PUSHFORWARD_INLINE Exponential reduceExp(Float x) {
  const Float n = roundSmall(x * 0x1.715476p+0f);
  // ln 2 in two parts, n times the first exact
  const Float r = multiplyAdd(n, broadcast(0x1.bd0106p-13f), multiplyAdd(n, broadcast(-0x1.63p-1f), x));
  const Float p =
      polynomial(r, broadcast(0x1.6a243cp-10f), 0x1.1239b2p-7f, 0x1.5558d0p-5f, 0x1.555492p-3f, 0x1.fffffcp-2f);
  return {multiplyAdd(r * r, p, r), n};
}
/** 2ⁿ for an integer n in [−126, 127]. */
PUSHFORWARD_INLINE Float powerOfTwo(Float n) { return asFloat((toInt(n) + 127) << 23); }
/** x 2ⁿ for an integer n in [−252, 254], rounded once. */
PUSHFORWARD_INLINE Float scale(Float x, Float n) {
#if PUSHFORWARD_LANES == 16
  return (Float)_mm512_scalef_ps((__m512)x, (__m512)n);
#else
  const Int whole = toInt(n), half = whole >> 1;
  return x * asFloat((half + 127) << 23) * asFloat((whole - half + 127) << 23);
#endif
}

PUSHFORWARD_INLINE Float exp(Float x) {
  const Exponential e = reduceExp(min(broadcast(89.0f), max(broadcast(-104.0f), x)));
  return scale(1.0f + e.p, e.n);
}

/** e^x − 1 for x ≤ 88. */
PUSHFORWARD_INLINE Float expm1(Float x) {
  const Exponential e = reduceExp(max(broadcast(-104.0f), x));
  const Float power = powerOfTwo(max(broadcast(-126.0f), e.n));
  return multiplyAdd(power, e.p, power - 1.0f);
}

struct MultiplyAddArithmetic {
  using F = Float;
  PUSHFORWARD_INLINE F fma(F x, F y, F z) { return multiplyAdd(x, y, z); }
  PUSHFORWARD_INLINE F constant(float x) { return broadcast(x); }
};

/** e ln 2 + ln(1 + s), s in [√½ − 1, √2 − 1]. */
PUSHFORWARD_INLINE Float logParts(Float e, Float s) {
  const Float low = multiplyAdd(s * s, log1pPolynomial<MultiplyAddArithmetic>(s, 1.0f), e * -0x1.bd0106p-13f);
  return multiplyAdd(e, broadcast(0x1.63p-1f), s + low);
}

PUSHFORWARD_INLINE Float log(Float x) {
  const Int tiny = x < 0x1p-126f;
  const Float scaled = select(tiny, x * 0x1p23f, x);
  const Unsigned bits = asUnsigned(scaled) - 0x3F3504F3u;  // √½
  const Float e = toFloat((asInt(bits) >> 23) - (tiny & 23));
  const Float y = logParts(e, asFloat((bits & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f);
  const Float special = select(x == 0.0f, broadcast(-infinity), select(x > 0.0f, x, broadcast(notANumber)));
  return select((x > 0.0f) & (x < infinity), y, special);
}

/** ln(1 + t), t in [0, 1]. */
PUSHFORWARD_INLINE Float log1pUnit(Float t) {
  const Int upper = t > 0x1.a8279ap-2f;  // √2 − 1
  return logParts(select(upper, broadcast(1.0f), Float{}), select(upper, (t - 1.0f) * 0.5f, t));
}

/** ln(1 + e^x) = max(x, 0) + ln(1 + e^−|x|). */
PUSHFORWARD_INLINE Float softplus(Float x) { return max(Float{}, x) + log1pUnit(exp(-abs(x))); }

PUSHFORWARD_INLINE Float tanh(Float x) {
  const Float e = expm1(min(broadcast(20.0f), abs(x) * 2.0f));
  return copySign(e / (e + 2.0f), x);
}

/** 1 / (1 + e^−x); the smaller side is e^x / (1 + e^x), which keeps its digits. */
PUSHFORWARD_INLINE Float sigmoid(Float x) {
  const Float e = exp(-abs(x));
  return select(x < 0.0f, e, broadcast(1.0f)) / (1.0f + e);
}

/** x σ(v + low), |low| ≪ 1: the smaller side is x e^v / (1 + e^v), rounded to a denormal once and last. */
PUSHFORWARD_INLINE Float gated(Float x, Float v, Float low) {
  const Exponential e = reduceExp(max(broadcast(-115.0f), -abs(v)));
  const Int negative = v < 0.0f;
  const Float l = select(negative, low, -low), p = e.p + multiplyAdd(l, e.p, l);  // e^−|v + low| = (1 + p) 2ⁿ
  return scale(select(negative, multiplyAdd(x, p, x), x) / (1.0f + scale(1.0f + p, e.n)),
               select(negative, e.n, Float{}));
}

PUSHFORWARD_INLINE Float silu(Float x) {
  const Float bounded = max(broadcast(-110.0f), x);  // |x e^x| is below half the smallest float beyond
  return gated(bounded, bounded, Float{});
}

/**
 * ½x (1 + tanh u) = x σ(2u), 2u = x (a + b x²), a = 2 √(2/π), b = 0.044715 a. An error in 2u is a relative one in the
 * result, so x², a, b and what is made of them come in two parts.
 */
PUSHFORWARD_INLINE Float geluTanh(Float x) {
  const Float bounded = max(broadcast(-11.0f), x), t = min(broadcast(11.0f), bounded);  // σ is 0 or 1 beyond
  const Float s = t * t, sLow = fma(t, t, -s);
  const Float a = broadcast(0x1.988454p+0f), b = broadcast(0x1.2444f2p-4f);
  const Float bs = b * s, sum = bs + a, part = sum - bs;
  const Float sumLow = (bs - (sum - part)) + (a - part);
  const Float low = sumLow + fma(b, s, -bs) +
                    multiplyAdd(b, sLow, multiplyAdd(s, broadcast(0x1.49b16ap-29f), broadcast(-0x1.857936p-25f)));
  const Float v = t * sum;
  return gated(bounded, v, multiplyAdd(t, low, fma(t, sum, -v)));
}

PUSHFORWARD_INLINE Float elu(Float x, Float alpha) { return select(x >= 0.0f, x, alpha * expm1(min(Float{}, x))); }

PUSHFORWARD_INLINE Float erf(Float x) {
  const Float t = min(broadcast(4.0f), abs(x)), s = t * t;
  const Float inner = polynomial(s, broadcast(0x1.5d7468p-14f), -0x1.aa6ef8p-11f, 0x1.54cd44p-8f, -0x1.b80f1ep-6f,
                                 0x1.ce2e16p-4f, -0x1.812744p-2f, 0x1.06eba8p-3f);
  // ln erfc, fitted
  const Float outer = polynomial(t, broadcast(-0x1.6384aap-16f), 0x1.c8b9dap-12f, -0x1.11b4c0p-8f, 0x1.9bc9c4p-6f,
                                 -0x1.bb9adcp-4f, -0x1.44436ep-1f, -0x1.21288ap+0f, 0x1.72a5fap-13f);
  return copySign(select(t < 0.927734375f, multiplyAdd(t, inner, t), 1.0f - exp(outer)), x);
}

// Float64 lanes.

/** 2ˣ, |x| ≤ 1000, relative error 4e-11. */
PUSHFORWARD_INLINE Double exp2(Double x) {
  const Double shifted = x + 6755399441055744.0;  // n in the low bits
  const Double r = x - (shifted - 6755399441055744.0);
  const Double p = polynomial(r, broadcast(1.520191394925157167e-5), 1.5469291176432396393e-4, 1.3333922604534722247e-3,
                              9.6180272538400526645e-3, 5.5504103533815375506e-2, 2.4022651198151284937e-1,
                              6.9314718072847864858e-1, 9.999999999616849041e-1);
  return (Double)((Wide)p + ((Wide)shifted << 52));
}

/** log₂ x for a positive normal x, relative error 4e-12. */
PUSHFORWARD_INLINE Double log2(Double x) {
  const Long bits = asLong(x) - 0x3FE6A09E667F3BCDLL;  // √½
  // The exponent as a double: added to 2⁵² + 2⁵¹ as an integer.
  const Long exponent = (Long)((Wide)bits >> 52) ^ 0x800;  // 12 bits, biased by 2048 so that it is not negative
  const Double e = asDouble(exponent + 0x4330000000000000LL) - (4503599627370496.0 + 2048.0);
  const Double m = asDouble((bits & 0xFFFFFFFFFFFFFLL) + 0x3FE6A09E667F3BCDLL);
  const Double s = (m - 1.0) / (m + 1.0), y = s * s;
  const Double p = polynomial(y, broadcast(3.4072800815482310334e-1), 4.1167282712498476321e-1,
                              5.7708358325947052263e-1, 9.617966733501692978e-1, 2.8853900817900799949);
  return multiplyAdd(s, p, e);
}

/** x Φ(x), Φ the normal distribution: Φ(−a) = e^(−a²/2) Q(a) with Q fitted on [0, 15]. */
PUSHFORWARD_INLINE Double normalGelu(Double x) {
  const Double a = min(broadcast(15.0), asDouble(asLong(x) & 0x7FFFFFFFFFFFFFFFLL));
  const Double t = (a - 3.5) / (a + 3.5);
  const Double q =
      polynomial(t, broadcast(-1.94307100832996875e-5), -4.96191642749236342e-5, 1.33512850142898399e-4,
                 3.88025841823493034e-4, -1.38177030465360599e-3, -1.56079468103677743e-3, 1.90657055688018585e-2,
                 -6.16394982727731314e-2, 1.25855247109023405e-1, -1.87139696349584772e-1, 1.06345153672315437e-1);
  const Double tail = exp2(a * a * -0.72134752044448170368) * q;
  return x * select(x < 0.0, tail, 1.0 - tail);
}
PUSHFORWARD_INLINE Float gelu(Float x) {
  // Beyond −15 the product is below half the smallest float; NaN passes.
  const Doubles y = widen(max(broadcast(-15.0f), x));
  return narrow({normalGelu(y.low), normalGelu(y.high)});
}

/** |x|^y away from the special cases: 2^(y log₂|x|). */
PUSHFORWARD_INLINE Double powPositive(Double x, Double y) {
  return exp2(min(broadcast(200.0), max(broadcast(-200.0), y * log2(x))));
}

PUSHFORWARD_INLINE Float pow(Float x, Float y) {
  const Float size = abs(x), one = broadcast(1.0f);
  const Doubles base = widen(select((size > 0.0f) & (size < infinity), size, one)), exponent = widen(y);
  Float r = narrow({powPositive(base.low, exponent.low), powPositive(base.high, exponent.high)});
  // 0 and ∞ go to either end, the rest is the sign and IEEE's list of exceptions.
  r = select((size == 0.0f) | (size == infinity), select((size == 0.0f) == (y < 0.0f), broadcast(infinity), Float{}),
             r);
  const Float whole = abs(y) < 0x1p24f ? toFloat(toInt(y)) : y;
  const Int isOdd = (abs(y) < 0x1p24f) & ((toInt(y) & 1) != 0) & (whole == y);
  r = select(isOdd, copySign(r, x), r);
  r = select((x < 0.0f) & (size < infinity) & (whole != y), broadcast(notANumber), r);
  r = select(isNaN(x) | isNaN(y), x + y, r);
  return select((y == 0.0f) | (x == 1.0f) | ((x == -1.0f) & (abs(y) == infinity)), one, r);
}

/** x mod ½π: |r| ≤ π/4 and the quadrant mod 4 in the two lowest bits. */
struct Angle {
  Float r;
  Int quadrant;
};
constexpr float largestFastAngle = 0x1p20f;

PUSHFORWARD_INLINE Double reduceAngle(Double x, Double& n) {
  n = roundSmall(x * 0.63661977236758134308);
  // ½π in two parts, n times the first exact
  return multiplyAdd(n, broadcast(-0x1.0b4611a626331p-34), multiplyAdd(n, broadcast(-0x1.921fb544p+0), x));
}
PUSHFORWARD_INLINE Angle reduceAngle(Float x) {
  const Doubles y = widen(x);
  Doubles n, r;
  r.low = reduceAngle(y.low, n.low);
  r.high = reduceAngle(y.high, n.high);
  return {narrow(r), toInt(narrow(n))};
}
PUSHFORWARD_INLINE Float sineOf(Float r) {
  const Float s = r * r;
  const Float p = polynomial(s, broadcast(0x1.6cd1f2p-19f), -0x1.a00f72p-13f, 0x1.1110e0p-7f, -0x1.555554p-3f);
  return multiplyAdd(r * s, p, r);
}
PUSHFORWARD_INLINE Float cosineOf(Float r) {
  const Float s = r * r;
  const Float p = polynomial(s, broadcast(0x1.99eba0p-16f), -0x1.6c0c30p-10f, 0x1.55554ap-5f);
  return multiplyAdd(s, multiplyAdd(s, p, broadcast(-0.5f)), broadcast(1.0f));
}
/** sin(x + turn π/2). */
PUSHFORWARD_INLINE Float sineTurned(Float x, int turn) {
  const Angle angle = reduceAngle(x);
  const Int q = angle.quadrant + turn;
  const Float y = select((q & 1) != 0, cosineOf(angle.r), sineOf(angle.r));
  return asFloat(asInt(y) ^ ((q & 2) << 30));
}
// Huge angles need hundreds of digits of π: rare, and left to libm.
static __attribute__((noinline)) Float sineHuge(Float x, Float y, int turn) {
  for (int i = 0; i < lanes; ++i) {
    const double a = x[i];
    if (!(__builtin_fabs(a) < largestFastAngle))
      y[i] = static_cast<float>(turn == 0 ? __builtin_sin(a) : __builtin_cos(a));
  }
  return y;
}
PUSHFORWARD_INLINE Float sin(Float x) {
  const Int huge = ~(abs(x) < largestFastAngle);
  const Float y = select(x == 0.0f, x, sineTurned(select(huge, Float{}, x), 0));
  return __builtin_expect(any(huge), 0) ? sineHuge(x, y, 0) : y;
}
PUSHFORWARD_INLINE Float cos(Float x) {
  const Int huge = ~(abs(x) < largestFastAngle);
  const Float y = sineTurned(select(huge, Float{}, x), 1);
  return __builtin_expect(any(huge), 0) ? sineHuge(x, y, 1) : y;
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
