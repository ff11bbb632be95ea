// Light, dark or as the system has it. Runs before the first paint, which is why it is no module: a page that is told
// to be dark must never flash white. Wires nothing but the one button.
(() => {
  const KEY = 'nearline-theme';
  const NEXT = { auto: 'light', light: 'dark', dark: 'auto' };
  const kept = () => {
    try {
      return localStorage.getItem(KEY) || 'auto';
    } catch {
      return 'auto';
    }
  };
  let theme = NEXT[kept()] ? kept() : 'auto';

  const apply = () => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById('theme-button');
    if (!button) return;
    button.textContent = `Theme: ${theme}`;
    button.title = `Change to ${NEXT[theme]}`;
  };

  apply();
  addEventListener('DOMContentLoaded', () => {
    apply();
    document.getElementById('theme-button').addEventListener('click', () => {
      theme = NEXT[theme];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // Where nothing can be kept, the choice holds for this page.
      }
      apply();
    });
  });
})();
