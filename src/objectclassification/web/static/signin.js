// Who is signed in already has followed a link of another site: SameSite=Strict kept the cookie back.
const form = document.querySelector('form');
if (!document.querySelector('[role=alert]')) {
  const answer = await fetch('/api/sessions').catch(() => null);
  if (answer?.ok) location.replace(form.elements.next.value);
}
