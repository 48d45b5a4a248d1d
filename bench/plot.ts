/** Growth as an SVG: both axes are logarithms, each line is a case against itself at 1x. */
import type { Grown, Point } from './growth.ts';

const WIDTH = 1_000;
const HEIGHT = 420;
const LEFT = 60;
const RIGHT = 440;
const TOP = 40;
const BOTTOM = 50;
const COLORS = [
  '#2563eb',
  '#dc2626',
  '#059669',
  '#d97706',
  '#7c3aed',
  '#0891b2',
  '#be185d',
  '#4d7c0f',
  '#6b7280',
  '#92400e',
  '#1e3a8a',
  '#f472b6',
];
/** From a fourth to four times at least. */
const LEAST_SPAN = 4;

interface Curve {
  readonly label: string;
  readonly color: string;
  readonly points: readonly Point[];
}

/** Size and value as multiples of the first point's. */
function relative(points: readonly Point[]): Point[] {
  const [first] = points;
  if (!first) return [];
  return points.map(({ size, value }) => ({ size: size / first.size, value: value / first.value }));
}

export function plotGrowth(grown: readonly Grown[]): string {
  const curves: Curve[] = grown
    .flatMap(({ name, growth, lines }) =>
      lines.map((line) => ({
        label: `${name}${lines.length > 1 ? `, ${line.name}` : ''}: ${growth.metric} by ${growth.axis}`,
        points: relative(line.points),
      })),
    )
    .map((curve, index) => ({ ...curve, color: COLORS[index % COLORS.length] as string }));
  const values = curves.flatMap(({ points }) => points.map(({ value }) => Math.abs(Math.log10(value))));
  const span = Math.max(Math.log10(LEAST_SPAN), ...values) * 1.1;
  const x = (size: number) => LEFT + (Math.log10(size) / 2) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => TOP + ((span - Math.log10(value)) / (2 * span)) * (HEIGHT - TOP - BOTTOM);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    '<title>Growth, each case against itself at 1x</title>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="20" font-size="14">Growth, each case against itself at 1x</text>`,
    ...[1, 10, 100].flatMap((size) => [
      line(x(size), TOP, x(size), HEIGHT - BOTTOM, '#e5e7eb'),
      `<text x="${x(size)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${size}x</text>`,
    ]),
    ...ticks(span).flatMap((value) => [
      line(LEFT, y(value), WIDTH - RIGHT, y(value), value === 1 ? '#6b7280' : '#e5e7eb'),
      `<text x="${LEFT - 8}" y="${round(y(value) + 4)}" text-anchor="end">${value}</text>`,
    ]),
    ...curves.flatMap(({ label, color, points }, index) => [
      `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map((point) => `${round(x(point.size))},${round(y(point.value))}`).join(' ')}"/>`,
      ...points.map(
        (point) => `<circle cx="${round(x(point.size))}" cy="${round(y(point.value))}" r="3" fill="${color}"/>`,
      ),
      `<text x="${WIDTH - RIGHT + 12}" y="${TOP + 12 + index * 18}" fill="${color}">${escapeText(label)}</text>`,
    ]),
    '</svg>',
  ];
  return `${lines.join('\n')}\n`;
}

function ticks(span: number): number[] {
  return [0.01, 0.1, 0.25, 0.5, 1, 2, 4, 10, 100].filter((value) => Math.abs(Math.log10(value)) <= span);
}

function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${color}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
