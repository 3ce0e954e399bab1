// host/docs/configuration.md: every key of the configuration file, from its JSON Schema.

import { z } from 'zod';
import { formatCount } from '../cli/table.ts';
import { configSchema } from '../config/schema.ts';

/** The part of JSON Schema that zod makes of the configuration. */
interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
}

const HEAD = `# The configuration file

YAML 1.2, one file. Unknown keys and wrong values are errors, all of them told at once with line and column. Durations are
\`300s\`, \`2m\`, \`100ms\`, \`1h30m\` or a number of seconds; IPv6 addresses with a port need quotes: \`'[2001:db8::80]:80'\`. Editors
complete it with \`wvs.schema.json\`:

    # yaml-language-server: $schema=/path/to/wvs.schema.json

This page is made from the definition that validates.
`;

/** The page's text. */
export function configurationPage(): string {
  const schema = z.toJSONSchema(configSchema, { io: 'input' }) as Schema;
  const definitions = schema.$defs ?? {};
  const { director, service, server, tunnel, check } = definitions;
  const parts: [string, Schema | undefined][] = [
    ['The file', schema],
    ['director', director],
    ['director.ports', director?.properties?.ports?.items],
    ['director.timeouts', director?.properties?.timeouts],
    ['marks', schema.properties?.marks?.items],
    ['defaults', schema.properties?.defaults],
    ['services', service],
    ['services.servers', server],
    ['tunnel', tunnel],
    ['services.persistence', service?.properties?.persistence],
    ['services.notify', service?.properties?.notify],
    ['drain', definitions.drain?.anyOf?.at(-1)],
  ];
  const sections = parts.map(([title, part]) => section(title, part ?? {}));
  const checks = (check?.oneOf ?? []).map((type) => checkSection(type));
  const intro =
    'By `type`; when they probe and what follows is in [health-checks.md](health-checks.md).';
  return [HEAD, ...sections, `## check\n\n${intro}\n`, ...checks].join('\n');
}

function section(title: string, schema: Schema): string {
  const text = schema.description === undefined ? '' : `${schema.description}\n\n`;
  return `## ${title}\n\n${text}${table(schema)}`;
}

function checkSection(schema: Schema): string {
  const type = String(schema.properties?.type?.const);
  const { type: kind, ...properties } = schema.properties ?? {};
  const rest = table({ ...schema, properties });
  return `### ${type}\n\n${kind?.description ?? ''}\n${rest === '' ? '' : `\n${rest}`}`;
}

function table(schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => {
    const must = schema.required?.includes(key) === true ? ' (needed)' : '';
    return `| \`${key}\`${must} | ${cell(typeText(value))} | ${cell(descriptionOf(value))} |\n`;
  });
  return rows.length === 0 ? '' : `| key | value | |\n| --- | --- | --- |\n${rows.join('')}`;
}

function descriptionOf({ description, default: initial }: Schema): string {
  const text = description ?? '';
  return initial === undefined || text.includes('Default')
    ? text
    : `${text} Default ${initial}.`.trim();
}

function typeText(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1);
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${String(word)}\``).join(' ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return [...new Set(choices.map(typeText))].join(' or ');
  if (schema.type === 'array') return `list of ${typeText(schema.items ?? {})}`;
  if (schema.type === 'object') return 'mapping';
  if (schema.type === 'string') return 'text';
  if (schema.type === 'boolean') return '`true` `false`';
  const { minimum, maximum } = schema;
  if (minimum === undefined || maximum === undefined) return 'number';
  return `${formatCount(minimum)} to ${formatCount(maximum)}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
