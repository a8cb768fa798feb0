#include "cuda/staging.h"

#include <cstring>

namespace pushforward::cuda {

/** A place that is taken until the run that reads it has ended. */
struct Staging::Ticket : Staged {
  Ticket(std::shared_ptr<Staging> owner, Place& where, size_t size)
      : staging(std::move(owner)), place(where), bytes(size) {
    place.taken = true;
  }
  ~Ticket() override {
    std::lock_guard<std::mutex> lock(staging->mutex_);
    place.taken = false;
  }
  std::shared_ptr<Staging> staging;
  Place& place;
  size_t bytes;
};

Staging::Staging(const std::shared_ptr<Context>& context)
    : context_(context), stream_(context), places_{Place(context), Place(context)} {}

std::shared_ptr<Staged> Staging::stage(const std::vector<Memory>& inputs, const std::vector<size_t>& bytes) {
  size_t total = 0;
  for (size_t size : bytes) total += aligned(size);
  if (total == 0) return nullptr;
  std::shared_ptr<Ticket> ticket;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Place* free = !places_[0].taken ? &places_[0] : !places_[1].taken ? &places_[1] : nullptr;
    if (!free) return nullptr;
    ticket = std::make_shared<Ticket>(shared_from_this(), *free, total);
  }
  Place& place = ticket->place;
  Current current(*context_);
  const Driver& api = context_->api;
  context_->call(api.cuEventSynchronize, place.arrived.get());  // of a copy that nobody took
  if (place.memory.bytes() < total) {
    bytes_ -= place.memory.bytes();
    place.memory = Memory();
    place.memory = Memory(total, false, context_);
    bytes_ += place.memory.bytes();
    place.pinned = Pinned();
    place.pinned = Pinned(context_, total);
  }
  size_t offset = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i]) std::memcpy(place.pinned.data() + offset, inputs[i].data(), bytes[i]);
    offset += aligned(bytes[i]);
  }
  context_->call(api.cuMemcpyHtoDAsync, addressOf(place.memory.data()), place.pinned.data(), total, stream_.get());
  context_->call(api.cuEventRecord, place.arrived.get(), stream_.get());
  return ticket;
}

void Staging::take(const Staged& staged, Stream stream, void* inputs) {
  const Ticket& ticket = static_cast<const Ticket&>(staged);
  const Driver& api = context_->api;
  context_->call(api.cuStreamWaitEvent, stream, ticket.place.arrived.get(), 0u);
  context_->call(api.cuMemcpyDtoDAsync, addressOf(inputs), addressOf(ticket.place.memory.data()), ticket.bytes, stream);
}

}  // namespace pushforward::cuda
