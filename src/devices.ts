// What can compute on this machine.
import { native } from './binding.ts';
import type { DeviceName } from './plan/engine.ts';

/** A device, there or not. */
export interface Device {
  /** What the option `device` calls it. */
  name: DeviceName;
  /** In a few words. */
  description: string;
  /** Whether it can be used. */
  available: boolean;
  /** Why it cannot. */
  reason?: string;
  /** Its memory in bytes, where it has its own. */
  memoryBytes?: number;
  /** The instruction set of its kernels. */
  isa?: string;
  /** Of an NVIDIA GPU: `9.0`. */
  computeCapability?: string;
}

/** All devices of this build, with the reason where one is not available. Synchronous, never throws. */
export function devices(): Device[] {
  return native.devices().map(({ driver: _, ...device }) => device as Device);
}
