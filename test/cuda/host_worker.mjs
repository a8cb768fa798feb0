// The entry of a worker: its thread has module hooks of its own, so that TypeScript needs tsx again.
import { register } from 'tsx/esm/api';

register();
await import('./host_child.ts');
