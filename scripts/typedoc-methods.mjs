// A typedoc plugin: every op is also a method of Value by a mapped type, which has no comments of its own; it gets the op's.
import { Converter, ReflectionKind } from 'typedoc';

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const find = (kind, name) => project.getReflectionsByKind(kind).find((reflection) => reflection.name === name);
    const ops = find(ReflectionKind.Namespace, 'ops');
    const value = find(ReflectionKind.Class, 'Value');
    for (const method of value?.children ?? []) {
      const op = ops?.getChildByName(method.name);
      const comment = op?.comment ?? op?.signatures?.[0]?.comment;
      if (!comment || !method.kindOf(ReflectionKind.Property | ReflectionKind.Method)) continue;
      const targets = method.signatures ?? method.type?.declaration?.signatures ?? [];
      if (method.kindOf(ReflectionKind.Property)) method.comment ??= comment.clone();
      for (const signature of targets) signature.comment ??= comment.clone();
    }
  });
}
