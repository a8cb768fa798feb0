// AMX's instructions in plain C++, and whole numbers to multiply: every order of summing gives the same bits.
#pragma once
#include <cstdint>
#include <cstring>

/** What the manual says of TILEZERO, TILELOADD, TDPBF16PS and TILESTORED, 16 rows of 64 bytes a tile. */
struct EmulatedTiles {
  static inline uint32_t tile_[8][16][16];
  static inline bool configured_ = false;

  static float number(uint32_t word, bool upper) {
    const uint32_t bits = upper ? word & 0xFFFF0000u : word << 16;
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
  static void configure() { configured_ = true; }
  static void release() { configured_ = false; }
  template <int tile>
  static void zero() {
    std::memset(tile_[tile], configured_ ? 0 : 0xFF, sizeof tile_[tile]);
  }
  template <int tile>
  static void load(const void* from, int64_t stride) {
    for (int i = 0; i < 16; ++i) std::memcpy(tile_[tile][i], static_cast<const char*>(from) + i * stride, 64);
  }
  template <int tile>
  static void stream(const void* from, int64_t stride) {
    load<tile>(from, stride);
  }
  template <int sum, int a, int b>
  static void dot() {
    for (int i = 0; i < 16; ++i)
      for (int p = 0; p < 16; ++p)
        for (int j = 0; j < 16; ++j) {
          float c;
          std::memcpy(&c, &tile_[sum][i][j], sizeof c);
          for (bool upper : {false, true}) c += number(tile_[a][i][p], upper) * number(tile_[b][p][j], upper);
          std::memcpy(&tile_[sum][i][j], &c, sizeof c);
        }
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    for (int i = 0; i < 16; ++i) std::memcpy(static_cast<char*>(to) + i * stride, tile_[tile][i], 64);
  }
};

uint32_t state = 1;
float whole() {
  state = state * 1664525u + 1013904223u;
  return static_cast<float>(static_cast<int>(state >> 8) % ((state & 7) == 0 ? 511 : 7));
}
