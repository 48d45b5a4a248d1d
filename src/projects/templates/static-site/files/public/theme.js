// Loaded in the head and not deferred: the chosen theme is there before the first paint.
(() => {
  const KEY = 'theme';
  const root = document.documentElement;
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)');

  // Storage may be blocked; then the choice lasts as long as the page.
  function readChoice() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function keepChoice(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {}
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === 'dark' : systemIsDark.matches;
  }

  const choice = readChoice();
  if (choice === 'light' || choice === 'dark') root.dataset.theme = choice;

  addEventListener('DOMContentLoaded', () => {
    const button = document.querySelector('#theme');
    const show = () => button.setAttribute('aria-pressed', String(isDark()));
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      keepChoice(root.dataset.theme);
      show();
    });
    systemIsDark.addEventListener('change', show);
    show();
    button.hidden = false;
  });
})();
