/** Whether a folder lives no longer than the pod that this process runs in. */
import { readFile } from 'node:fs/promises';

/** The kubelet's name for what it makes of an `emptyDir`. */
const EMPTY_DIR = /\/volumes\/kubernetes\.io~empty-dir\//;

/** `folder`: absolute. False outside of a pod. Never rejects. */
export async function isInEmptyDir(folder: string): Promise<boolean> {
  try {
    return isEmptyDirMount(await readFile('/proc/self/mountinfo', 'utf8'), folder);
  } catch {
    return false;
  }
}

/** `mountinfo`: as in proc(5). */
export function isEmptyDirMount(mountinfo: string, folder: string): boolean {
  const holds = (point: string) => `${folder}/`.startsWith(point === '/' ? '/' : `${point}/`);
  let nearest = { root: '', point: '' };
  for (const line of mountinfo.split('\n')) {
    const [root = '', point = ''] = line.split(' ').slice(3, 5).map(unescapeOctal);
    // Of two at the same place, the later one hides the earlier.
    if (point !== '' && holds(point) && point.length >= nearest.point.length) nearest = { root, point };
  }
  return EMPTY_DIR.test(nearest.root);
}

/** `\040` is a space there. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
