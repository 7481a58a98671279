// Applies the remembered theme before the first paint. It is a classic script in
// the head for that reason; the switch itself is in app.js.
(() => {
  try {
    const theme = localStorage.getItem('fanfare.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is off: the page follows the system.
  }
})();
