import { readFile } from 'node:fs/promises';
import { codeOf, LockwireError } from '../core/errors.ts';

/** The highest is reserved: (uid_t)-1. */
const maxUid = 4_294_967_294;
const passwdFile = '/etc/passwd';

/**
 * Users by name or number, as numbers. Names are looked for in `/etc/passwd`; those of a directory service are given by
 * number. Throws `usage`.
 */
export async function userNumbers(
  users: readonly string[],
  passwd: string = passwdFile,
): Promise<readonly number[]> {
  if (users.length === 0) return [];
  const names = await readNames(passwd);
  return users.map(user => {
    const uid = /^(?:0|[1-9][0-9]{0,9})$/.test(user) ? Number(user) : names.get(user);
    if (uid !== undefined && uid <= maxUid) return uid;
    throw new LockwireError(
      'usage',
      `--allow-user "${user.slice(0, 64)}": no such user in ${passwd}; a user of a directory service is given by number (id -u NAME)`,
    );
  });
}

/** name:password:uid:… (passwd(5)). */
async function readNames(passwd: string): Promise<ReadonlyMap<string, number>> {
  const text = await readFile(passwd, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  const names = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name = '', , uid = ''] = line.split(':');
    if (name !== '' && /^\d+$/.test(uid)) names.set(name, Number(uid));
  }
  return names;
}
