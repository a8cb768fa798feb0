#include <algorithm>
#include <cstdio>

#include "machine.h"

namespace softcuda {

std::string where(const Program& p, uint32_t instruction) {
  const SourceLine& l = p.lines[p.code[instruction].line];
  if (!l.line || l.file >= p.files.size()) return "PTX line " + std::to_string(l.textLine);
  const std::string& path = p.files[l.file];
  return path.substr(path.rfind('/') + 1) + ":" + std::to_string(l.line);
}

void fault(const Warp& w, FaultKind kind, uint32_t lane, const std::string& what) {
  const Block& b = *w.block;
  const Dim3& size = b.launch->block;
  unsigned linear = w.index * kLanes + lane;
  char place[160];
  std::snprintf(place, sizeof place, ", block (%u,%u,%u), thread (%u,%u,%u): ", b.x, b.y, b.z, linear % size.x,
                linear / size.x % size.y, linear / (size.x * size.y));
  throw Fault(kind, "kernel '" + w.program->name + "' at " + where(*w.program, w.current) + place + what);
}

void LineCounts::add(const LineCounts& o) {
  instructions += o.instructions;
  laneInstructions += o.laneInstructions;
  sectors += o.sectors;
  idealSectors += o.idealSectors;
  wavefronts += o.wavefronts;
  idealWavefronts += o.idealWavefronts;
  mma += o.mma;
}

LineCounts KernelCounts::total() const {
  LineCounts t;
  for (const auto& [line, c] : lines) t.add(c);
  return t;
}

namespace {

std::string row(const std::string& name, const LineCounts& c) {
  char text[200];
  double lanes = c.instructions ? static_cast<double>(c.laneInstructions) / static_cast<double>(c.instructions) : 0;
  std::snprintf(text, sizeof text, "  %-32s %12llu %6.1f %10llu %10llu %10llu %10llu %8llu\n", name.c_str(),
                static_cast<unsigned long long>(c.instructions), lanes, static_cast<unsigned long long>(c.sectors),
                static_cast<unsigned long long>(c.idealSectors), static_cast<unsigned long long>(c.wavefronts),
                static_cast<unsigned long long>(c.idealWavefronts), static_cast<unsigned long long>(c.mma));
  return text;
}

}  // namespace

std::string report(const Counters& counters) {
  std::string text;
  char header[200];
  std::snprintf(header, sizeof header, "  %-32s %12s %6s %10s %10s %10s %10s %8s\n", "line", "warp instr.", "lanes",
                "sectors", "(ideal)", "wavefronts", "(ideal)", "mma");
  for (const auto& [name, k] : counters.kernels) {
    text += name + ": " + std::to_string(k.launches) + " launches, " + std::to_string(k.blocks) + " blocks\n" + header;
    text += row("total", k.total());
    std::vector<std::pair<std::string, LineCounts>> lines(k.lines.begin(), k.lines.end());
    std::stable_sort(lines.begin(), lines.end(),
                     [](auto& a, auto& b) { return a.second.instructions > b.second.instructions; });
    for (const auto& [line, c] : lines) text += row(line, c);
  }
  return text;
}

}  // namespace softcuda
